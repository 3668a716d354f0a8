//! Which types operators and the common functions take, and what operators give for them.
//!
//! What is not told of here is taken for right: the server may know better, and says so when the rule is run.

use super::Type;

/// What an operator gives for these types; `None` where it doesn't take them.
pub(super) fn operator<'a>(name: &str, types: &[Type<'a>]) -> Option<Type<'a>> {
    let bools = || types.iter().all(Type::may_be_bool);
    match (name, types) {
        ("!_", _) => bools().then_some(Type::Bool),
        ("_==_" | "_!=_", [a, b]) => a.equals(b).then_some(Type::Bool),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => {
            let ordered = a.equals(b) || (a.is_number() && b.is_number());
            ordered.then_some(Type::Bool)
        }
        ("_?_:_", [test, a, b]) => {
            let found = if a.name() == b.name() { a.clone() } else { Type::Dyn };
            (test.may_be_bool() && a.equals(b)).then_some(found)
        }
        ("_+_", [a, b]) => match (a, b) {
            (Type::Timestamp | Type::Duration, Type::Timestamp | Type::Duration) => Some(Type::Dyn),
            (Type::Bool | Type::Map(_) | Type::Object(..), _) => None,
            _ => a.equals(b).then(|| a.clone()),
        },
        ("_-_", [a, b]) => match (a, b) {
            (Type::Timestamp | Type::Duration, Type::Timestamp | Type::Duration) | (Type::Dyn, _) | (_, Type::Dyn) => {
                Some(Type::Dyn)
            }
            _ => (a.is_number() && a.equals(b)).then(|| a.clone()),
        },
        ("_*_" | "_/_" | "_%_", [a, b]) => match (a, b) {
            (Type::Dyn, _) | (_, Type::Dyn) => Some(Type::Dyn),
            _ => (a.is_number() && a.equals(b)).then(|| a.clone()),
        },
        ("@in", [item, Type::List(known)]) => item.equals(known).then_some(Type::Bool),
        ("@in", [_, Type::Map(_) | Type::Dyn]) => Some(Type::Bool),
        ("@in", _) | ("_[_]", [Type::List(_), Type::String | Type::Bool | Type::List(_) | Type::Map(_)]) => None,
        ("_[_]", [Type::List(item) | Type::Map(item), _]) => Some((**item).clone()),
        ("-_", [a]) => (a.is_number() || matches!(a, Type::Dyn)).then(|| a.clone()),
        _ => Some(Type::Dyn),
    }
}

/// Whether a function takes these types, its target first.
pub(super) fn takes(name: &str, types: &[Type<'_>]) -> bool {
    let text = |found: &Type<'_>| matches!(found, Type::String | Type::Dyn);
    match (name, types) {
        ("size", [found]) => !matches!(
            found,
            Type::Null | Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Timestamp | Type::Duration
        ),
        ("startsWith" | "endsWith" | "contains" | "matches", [target, argument]) => text(target) && text(argument),
        ("int" | "uint" | "double" | "string", [found]) => {
            !matches!(found, Type::Null | Type::List(_) | Type::Map(_) | Type::Object(..))
        }
        _ => true,
    }
}
