//! The reader of `kubernetes.tsv`, whose head tells its form.
//!
//! The table is part of the program. A line that can't be read would be a mistake of ours, found by the tests, which
//! count lines: here it is left out.

use std::collections::BTreeMap;

use super::{Field, Holds, Id, Type, Types};

/// Reads the table. Types are numbered first, for they name each other, and some themselves.
pub(super) fn parse(text: &'static str) -> Types {
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let names = lines().filter(|line| !line.starts_with('\t'));
    let by_name: BTreeMap<&'static str, Id> = names.enumerate().map(|(at, name)| (name, Id(at))).collect();
    let mut types: Vec<Type> = Vec::new();
    for line in lines() {
        if let (Some(line), Some(holder)) = (line.strip_prefix('\t'), types.last_mut()) {
            holder.fields.extend(field(line, &by_name));
        } else {
            types.push(Type { name: line, fields: Vec::new() });
        }
    }
    Types { types, by_name }
}

fn field(line: &'static str, by_name: &BTreeMap<&'static str, Id>) -> Option<Field> {
    let mut parts = line.splitn(4, '\t');
    let (name, number, holds, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (flags, choices) = flags.split_once('=').unwrap_or((flags, ""));
    Some(Field {
        name,
        number: number.parse().ok()?,
        holds: held(holds, by_name)?,
        required: flags.contains('r'),
        pointer: flags.contains('p'),
        choices: choices.split('|').filter(|choice| !choice.is_empty()).collect(),
    })
}

fn held(text: &str, by_name: &BTreeMap<&'static str, Id>) -> Option<Holds> {
    if let Some(item) = text.strip_prefix("[]") {
        return Some(Holds::List(Box::new(held(item, by_name)?)));
    }
    if let Some(value) = text.strip_prefix("map:") {
        return Some(Holds::Map(Box::new(held(value, by_name)?)));
    }
    Some(match text {
        "string" => Holds::Text,
        "bool" => Holds::Bool,
        "int32" => Holds::Int32,
        "int64" => Holds::Int64,
        "bytes" => Holds::Bytes,
        "Time" => Holds::Time,
        "MicroTime" => Holds::MicroTime,
        "IntOrString" => Holds::IntOrString,
        "Quantity" => Holds::Quantity,
        "FieldsV1" => Holds::Fields,
        name => Holds::Struct(*by_name.get(name)?),
    })
}
