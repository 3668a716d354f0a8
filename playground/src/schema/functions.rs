//! The functions and types that a rule can name: CEL's own, cel-go's extensions, Kubernetes' libraries.

use super::types::Type;

/// The names of types that can be written in a rule.
pub(super) const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// The operators that are told by a symbol, and the symbol.
const OPERATORS: &[(&str, &str)] = &[
    ("!_", "!"),
    ("-_", "-"),
    ("@in", " in "),
    ("_!=_", "!="),
    ("_%_", "%"),
    ("_&&_", "&&"),
    ("_*_", "*"),
    ("_+_", "+"),
    ("_-_", "-"),
    ("_/_", "/"),
    ("_<=_", "<="),
    ("_<_", "<"),
    ("_==_", "=="),
    ("_>=_", ">="),
    ("_>_", ">"),
    ("_?_:_", "?"),
    ("_[_]", "["),
    ("_||_", "||"),
];

/// Those that answer yes or no.
const TESTS: &[&str] = &[
    "contains",
    "containsCIDR",
    "containsIP",
    "endsWith",
    "hasValue",
    "ip.isCanonical",
    "isCIDR",
    "isGlobalUnicast",
    "isGreaterThan",
    "isIP",
    "isInteger",
    "isLessThan",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isQuantity",
    "isSemver",
    "isSorted",
    "isURL",
    "isUnspecified",
    "matches",
    "math.isFinite",
    "math.isInf",
    "math.isNaN",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "startsWith",
];

/// Those that give a text.
const TEXTS: &[&str] = &[
    "base64.encode",
    "charAt",
    "find",
    "format",
    "getEscapedPath",
    "getHost",
    "getHostname",
    "getPort",
    "getScheme",
    "join",
    "jsonpatch.escapeKey",
    "lowerAscii",
    "replace",
    "string",
    "strings.quote",
    "substring",
    "trim",
    "upperAscii",
];

/// Those that give a whole number.
const NUMBERS: &[&str] = &["asInteger", "compareTo", "int", "lastIndexOf", "major", "minor", "patch", "sign", "size"];

/// Those whose result depends, or is of a type that is known at run time only.
const OTHERS: &[&str] = &[
    "@not_strictly_false",
    "_?._",
    "_[?_]",
    "add",
    "asApproximateFloat",
    "base64.decode",
    "bool",
    "bytes",
    "cidr",
    "distinct",
    "double",
    "duration",
    "dyn",
    "family",
    "findAll",
    "first",
    "flatten",
    "format.byte",
    "format.date",
    "format.datetime",
    "format.dns1035Label",
    "format.dns1035LabelPrefix",
    "format.dns1123Label",
    "format.dns1123LabelPrefix",
    "format.dns1123Subdomain",
    "format.dns1123SubdomainPrefix",
    "format.labelValue",
    "format.named",
    "format.qualifiedName",
    "format.uri",
    "format.uuid",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getQuery",
    "getSeconds",
    "indexOf",
    "ip",
    "last",
    "lists.range",
    "masked",
    "math.abs",
    "math.bitAnd",
    "math.bitNot",
    "math.bitOr",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "math.bitXor",
    "math.ceil",
    "math.floor",
    "math.greatest",
    "math.least",
    "math.round",
    "math.sign",
    "math.sqrt",
    "math.trunc",
    "max",
    "min",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "or",
    "orValue",
    "prefixLength",
    "quantity",
    "reverse",
    "semver",
    "slice",
    "sort",
    "split",
    "sub",
    "sum",
    "timestamp",
    "type",
    "uint",
    "url",
    "validate",
    "value",
];

/// Whether a name is that of a type.
pub(super) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// Whether there is such a function or operator.
pub(super) fn is_known(name: &str) -> bool {
    symbol(name).is_some() || [TESTS, TEXTS, NUMBERS, OTHERS].iter().any(|names| names.contains(&name))
}

/// How an operator is written; `None` for a function.
pub(super) fn symbol(name: &str) -> Option<&'static str> {
    OPERATORS.iter().find(|(operator, _)| *operator == name).map(|(_, symbol)| *symbol)
}

/// The type of what a function gives.
pub(super) fn result<'a>(name: &str, arguments: &[Type<'a>]) -> Type<'a> {
    match name {
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "double" => Type::Double,
        "uint" => Type::Uint,
        "bytes" => Type::Bytes,
        "bool" | "@not_strictly_false" => Type::Bool,
        // The library of named formats has a function of the same name as that of texts.
        "format" if !matches!(arguments.first(), Some(Type::String)) => Type::Dyn,
        _ if TESTS.contains(&name) => Type::Bool,
        _ if TEXTS.contains(&name) => Type::String,
        _ if NUMBERS.contains(&name) => Type::Int,
        _ => Type::Dyn,
    }
}
