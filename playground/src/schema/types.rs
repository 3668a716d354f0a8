//! The type check of a rule: what an API server finds when a CRD is made, not when an object is.
//!
//! It knows the types that the schema gives and those of operators and of the common functions, and
//! takes everything else for dynamic. So it never refuses what the server takes; of what the server
//! refuses it finds the fields and names that don't exist, operators and functions that don't take
//! the types they are given, and rules that give no bool.

mod overloads;

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr};

use super::cel::{Expression, escape, fault};
use super::functions;
use super::node::{Additional, Node};
use overloads::{operator, takes};

/// The type of an expression.
#[derive(Clone, Debug)]
pub(super) enum Type<'a> {
    /// Known at run time only.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Box<Type<'a>>),
    Map(Box<Type<'a>>),
    /// A struct, with its fields.
    Object(&'a Node, Resource),
}

/// Whether a struct is a resource, whose type and name can be seen though no schema speaks of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Yes,
    No,
    /// The metadata of one.
    Metadata,
}

/// Checks an expression that sees `self`, and `oldSelf` if it is given. Gives its type, or the faults
/// as the server prints them.
pub(super) fn check<'a>(
    expression: &Expression,
    source: &str,
    this: &Type<'a>,
    old: &Type<'a>,
) -> Result<Type<'a>, String> {
    let scope = vec![("self".to_owned(), this.clone()), ("oldSelf".to_owned(), old.clone())];
    let mut checker = Checker { source, scope, faults: Vec::new() };
    let found = checker.expr(&expression.0);
    if checker.faults.is_empty() { Ok(found) } else { Err(checker.faults.join("\n")) }
}

impl<'a> Type<'a> {
    /// The type of the values of a schema.
    pub(super) fn of(node: &'a Node, resource: bool) -> Self {
        let entry = |node: &'a Node| Box::new(Self::of(node, node.embedded));
        match (node.type_name.as_str(), node.format.as_str()) {
            _ if node.int_or_string => Self::Dyn,
            ("boolean", _) => Self::Bool,
            ("integer", _) => Self::Int,
            ("number", _) => Self::Double,
            ("string", "date-time" | "datetime" | "date") => Self::Timestamp,
            ("string", "duration") => Self::Duration,
            ("string", "byte") => Self::Bytes,
            ("string", _) => Self::String,
            ("array", _) => Self::List(node.items.as_deref().map_or_else(|| Box::new(Self::Dyn), entry)),
            ("object", _) => match &node.additional_properties {
                Some(Additional::Schema(node)) => Self::Map(entry(node)),
                Some(Additional::Allowed(_)) => Self::Map(Box::new(Self::Dyn)),
                None if resource => Self::Object(node, Resource::Yes),
                None => Self::Object(node, Resource::No),
            },
            _ => Self::Dyn,
        }
    }

    /// The type of a field; `None` where there is no such field.
    fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Object(_, Resource::Metadata) => ["name", "generateName"].contains(&name).then_some(Self::String),
            Self::Object(node, Resource::Yes) if name == "metadata" => Some(Self::Object(node, Resource::Metadata)),
            Self::Object(_, Resource::Yes) if ["apiVersion", "kind"].contains(&name) => Some(Self::String),
            Self::Object(node, _) => {
                let found = node.properties.iter().find(|(field, _)| escape(field) == name);
                found.map(|(_, node)| Self::of(node, node.embedded))
            }
            Self::Map(entry) => Some((**entry).clone()),
            _ => Some(Self::Dyn),
        }
    }

    fn has_fields(&self) -> bool {
        matches!(self, Self::Dyn | Self::Map(_) | Self::Object(..))
    }

    /// The name in a message about overloads.
    fn name(&self) -> String {
        match self {
            Self::Dyn => "dyn".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int => "int".to_owned(),
            Self::Uint => "uint".to_owned(),
            Self::Double => "double".to_owned(),
            Self::String => "string".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::List(item) => format!("list({})", item.name()),
            Self::Map(entry) => format!("map(string, {})", entry.name()),
            Self::Object(..) => "object".to_owned(),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether the two can be compared for equality.
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn | Self::Null, _)
            | (_, Self::Dyn | Self::Null)
            | (Self::Object(..), Self::Map(_))
            | (Self::Map(_), Self::Object(..)) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.equals(b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    pub(super) fn may_be_bool(&self) -> bool {
        matches!(self, Self::Dyn | Self::Bool)
    }

    pub(super) fn may_be_string(&self) -> bool {
        matches!(self, Self::Dyn | Self::String)
    }
}

struct Checker<'s, 'a> {
    source: &'s str,
    /// The names that can be seen, the innermost last.
    scope: Vec<(String, Type<'a>)>,
    faults: Vec<String>,
}

impl<'a> Checker<'_, 'a> {
    fn expr(&mut self, expr: &IdedExpr) -> Type<'a> {
        match &expr.expr {
            Expr::Unspecified | Expr::Struct(_) => Type::Dyn,
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                let mut types = list.elements.iter().map(|item| self.expr(item)).collect::<Vec<_>>().into_iter();
                let first = types.next().unwrap_or(Type::Dyn);
                let same = types.all(|other| first.name() == other.name());
                Type::List(Box::new(if same { first } else { Type::Dyn }))
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.expr(&entry.key);
                        self.expr(&entry.value);
                    }
                }
                Type::Map(Box::new(Type::Dyn))
            }
        }
    }

    fn ident(&mut self, name: &str) -> Type<'a> {
        let seen = self.scope.iter().rev().find(|(known, _)| known == name);
        if let Some((_, found)) = seen {
            return found.clone();
        }
        if !functions::is_type(name) {
            let at = find_word(self.source, name, None);
            self.fault(at, &format!("undeclared reference to '{name}' (in container '')"));
        }
        Type::Dyn
    }

    fn select(&mut self, select: &SelectExpr) -> Type<'a> {
        let operand = self.expr(&select.operand);
        let found = if operand.has_fields() { operand.field(&select.field) } else { None };
        if let Some(found) = found {
            return if select.test { Type::Bool } else { found };
        }
        let message = if operand.has_fields() {
            format!("undefined field '{}'", select.field)
        } else {
            format!("type '{}' does not support field selection", operand.name())
        };
        let operand = spelled(&select.operand);
        // `has` is a macro, and what is wrong in one is told where its argument begins.
        let tested = format!("has({operand}.{}", select.field);
        let macro_at = without_strings(self.source).find(&tested).filter(|_| select.test).map(|at| at + "has".len());
        let at = macro_at.unwrap_or_else(|| find_word(self.source, &select.field, Some(&operand)));
        self.fault(at, &message);
        Type::Dyn
    }

    fn call(&mut self, call: &CallExpr) -> Type<'a> {
        let name = call.func_name.as_str();
        let namespace = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(target)) if !self.scope.iter().any(|(known, _)| known == target) => Some(target),
            Some(_) | None => None,
        };
        let qualified = namespace.map_or(name.to_owned(), |namespace| format!("{namespace}.{name}"));
        if !functions::is_known(&qualified) {
            // A call stands where its arguments begin.
            let at = find_word(self.source, name, None) + name.len();
            self.fault(at, &format!("undeclared reference to '{name}' (in container '')"));
            return Type::Dyn;
        }
        let mut types = Vec::new();
        if let (Some(target), None) = (&call.target, namespace) {
            types.push(self.expr(target));
        }
        // An optional selection names its field by a string.
        types.extend(call.args.iter().map(|arg| self.expr(arg)));
        if matches!(name, "_&&_" | "_||_") {
            for (operand, found) in call.args.iter().zip(&types).filter(|(_, found)| !found.may_be_bool()) {
                let at = self.place(operand);
                self.fault(at, &format!("expected type 'bool' but found '{}'", found.name()));
            }
            return Type::Bool;
        }
        let names = |types: &[Type]| types.iter().map(Type::name).collect::<Vec<_>>().join(", ");
        let Some(symbol) = functions::symbol(name) else {
            if !takes(&qualified, &types) {
                let applied = match (&call.target, namespace, types.split_first()) {
                    (Some(_), None, Some((target, rest))) => format!("{}.({})", target.name(), names(rest)),
                    _ => format!("({})", names(&types)),
                };
                let at = find_word(self.source, name, None) + name.len();
                self.fault(at, &format!("found no matching overload for '{name}' applied to '{applied}'"));
            }
            return functions::result(&qualified, &types);
        };
        operator(name, &types).unwrap_or_else(|| {
            let at = self.find_operator(symbol, call.args.first());
            self.fault(at, &format!("found no matching overload for '{name}' applied to '({})'", names(&types)));
            Type::Dyn
        })
    }

    /// Where an operand stands: a selection at its dot, a name where it begins. A macro's variable is named once before
    /// it is used.
    fn place(&self, operand: &IdedExpr) -> usize {
        match &operand.expr {
            Expr::Select(select) => find_word(self.source, &select.field, Some(&spelled(&select.operand))),
            Expr::Ident(name) => {
                let first = find_word(self.source, name, None);
                let bound = self.scope.iter().skip(2).any(|(known, _)| known == name);
                let after = first + name.len();
                let rest = if bound { self.source.get(after..).unwrap_or_default() } else { "" };
                if rest.is_empty() { first } else { after + find_word(rest, name, None) }
            }
            _ => 0,
        }
    }

    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Type<'a> {
        let range = self.expr(&comprehension.iter_range);
        let (first, second) = match range {
            Type::List(item) => (*item.clone(), *item),
            Type::Map(entry) => (Type::String, *entry),
            _ => (Type::Dyn, Type::Dyn),
        };
        let accumulated = self.expr(&comprehension.accu_init);
        let outside = self.scope.len();
        self.scope.push((comprehension.accu_var.clone(), accumulated));
        match &comprehension.iter_var2 {
            Some(name) => {
                self.scope.push((comprehension.iter_var.clone(), Type::Dyn));
                self.scope.push((name.clone(), second));
            }
            None => self.scope.push((comprehension.iter_var.clone(), first)),
        }
        self.expr(&comprehension.loop_cond);
        self.expr(&comprehension.loop_step);
        self.scope.truncate(outside + 1);
        let result = self.expr(&comprehension.result);
        self.scope.truncate(outside);
        result
    }

    fn find_operator(&self, symbol: &str, left: Option<&IdedExpr>) -> usize {
        let text = without_strings(self.source);
        let after = left.map(spelled).and_then(|left| Some(text.find(&left)? + left.len())).unwrap_or(0);
        let space = symbol.len() - symbol.trim_start().len();
        text[after..].find(symbol).map_or(0, |at| after + at + space)
    }

    fn fault(&mut self, at: usize, message: &str) {
        let before = &self.source[..at.min(self.source.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let fault = fault(self.source, line, column, message);
        // A macro names its operand several times over.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

fn literal_type<'a>(literal: &LiteralValue) -> Type<'a> {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// The expression as it was most likely written, if it is a chain of names.
fn spelled(expr: &IdedExpr) -> String {
    match &expr.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", spelled(&select.operand), select.field),
        _ => String::new(),
    }
}

/// Where the name stands as a word of its own; after a dot and an operand, where one is given, and
/// then the dot counts. 0 where it can't be found: the reader of an expression keeps no places.
fn find_word(source: &str, name: &str, operand: Option<&str>) -> usize {
    let text = without_strings(source);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |needle: &str, lead: usize| {
        let ends = |at: usize| !text[at + needle.len()..].starts_with(is_word);
        let starts = |at: usize| needle.starts_with('.') || !text[..at].ends_with(|c| is_word(c) || c == '.');
        text.match_indices(needle).map(|(at, _)| at).find(|at| starts(*at) && ends(*at)).map(|at| at + lead)
    };
    let found = match operand {
        Some(operand) => whole(&format!("{operand}.{name}"), operand.len()).or_else(|| whole(&format!(".{name}"), 0)),
        None => whole(name, 0).or_else(|| whole(&format!(".{name}"), 1)),
    };
    found.unwrap_or(0)
}

/// The source with blanks for what is in quotes, every byte in its place.
fn without_strings(source: &str) -> String {
    let mut quote = None;
    let mut escaped = false;
    let blank = |c: char| " ".repeat(c.len_utf8());
    source
        .chars()
        .map(|c| match quote {
            Some(_) if escaped => {
                escaped = false;
                blank(c)
            }
            Some(_) if c == '\\' => {
                escaped = true;
                blank(c)
            }
            Some(open) if c == open => {
                quote = None;
                blank(c)
            }
            Some(_) => blank(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                blank(c)
            }
            None => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(source: &str) -> Result<String, String> {
        let node: Node = serde_json::from_value(json!({
            "type": "object",
            "properties": {
                "s": {"type": "string"},
                "i": {"type": "integer"},
                "x-y": {"type": "boolean"},
                "list": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                "either": {"x-kubernetes-int-or-string": true},
                "at": {"type": "string", "format": "date-time"},
            },
        }))
        .unwrap();
        let this = Type::of(&node, true);
        let expression = Expression::parse(source).unwrap();
        let found = check(&expression, source, &this, &this).map(|found| found.name());
        found.map_err(|fault| fault.lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_the_server_takes_passes() {
        let cases = [
            ("self.s == 'x'", "bool"),
            ("!has(self.s) || self.s != ''", "bool"),
            ("self.i + 1 > 2 && self.i < 1.5", "bool"),
            ("self.x__dash__y", "bool"),
            ("self.list.all(e, e.name.startsWith('a') && e.name.size() < 3)", "bool"),
            ("self.list.exists_one(e, e.name == 'a')", "bool"),
            ("self.list.map(e, e.name)", "list(dyn)"),
            ("self.map.all(k, k.matches('^a') && self.map[k] > 1)", "bool"),
            ("self.map['a'] == self.map.b", "bool"),
            ("'a' in self.map || self.s in ['a', 'b']", "bool"),
            ("self.either == 5 || self.either == 'x'", "bool"),
            ("self.at > timestamp('2026-01-01T00:00:00Z') - duration('1h')", "bool"),
            ("self.metadata.name.size() <= 63 && self.kind == 'X'", "bool"),
            ("self == oldSelf || self.s == oldSelf.s", "bool"),
            ("self.s == null", "bool"),
            ("quantity(self.s).isLessThan(quantity('1Gi')) && sets.contains([1], [1])", "bool"),
            ("self.i > 1 ? 'a' : 'b'", "string"),
            ("'%s is %d'.format([self.s, self.i])", "string"),
            ("type(self.either) == int", "bool"),
            ("oldSelf.?s.orValue('') == ''", "bool"),
        ];
        for (source, wanted) in cases {
            assert_eq!(checked(source).as_deref(), Ok(wanted), "{source}");
        }
    }

    #[test]
    fn what_the_server_refuses_is_refused_at_its_place() {
        let cases = [
            ("self.nope == 1", "ERROR: <input>:1:5: undefined field 'nope'"),
            ("self.s == 'nope' || self.nope", "ERROR: <input>:1:25: undefined field 'nope'"),
            ("self.list.all(e, e.nope == 1)", "ERROR: <input>:1:19: undefined field 'nope'"),
            ("has(self.nope)", "ERROR: <input>:1:4: undefined field 'nope'"),
            ("self.metadata.labels.size() == 0", "ERROR: <input>:1:14: undefined field 'labels'"),
            ("self.s.nope == 1", "ERROR: <input>:1:7: type 'string' does not support field selection"),
            ("that.s == 'x'", "ERROR: <input>:1:1: undeclared reference to 'that' (in container '')"),
            ("self.s.begins('x')", "ERROR: <input>:1:14: undeclared reference to 'begins' (in container '')"),
            ("self.s == 1", "ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(string, int)'"),
            ("self.s && true", "ERROR: <input>:1:5: expected type 'bool' but found 'string'"),
            ("self.s +\n  self.nope == ''", "ERROR: <input>:2:7: undefined field 'nope'"),
        ];
        for (source, wanted) in cases {
            assert_eq!(checked(source).unwrap_err(), wanted, "{source}");
        }
    }
}
