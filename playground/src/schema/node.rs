//! A CRD's schema, read once.
//!
//! Only what a structural schema may hold has a field here; what it may not (`$ref`, `definitions` ...)
//! is looked for in the JSON by [`definition`](super::definition) before this is read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::rules::Rule;

/// A schema and those below it.
#[expect(clippy::struct_excessive_bools, reason = "the members are those of a CRD's schema")]
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) format: String,
    pub(super) nullable: bool,
    pub(super) default: Option<Value>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_maximum: bool,
    pub(super) minimum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) max_length: Option<u64>,
    pub(super) min_length: Option<u64>,
    pub(super) pattern: String,
    pub(super) max_items: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) required: Vec<String>,
    #[serde(rename = "enum")]
    pub(super) allowed: Vec<Value>,
    pub(super) items: Option<Box<Node>>,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) additional_properties: Option<Additional>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub(super) preserve: bool,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    pub(super) embedded: bool,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub(super) int_or_string: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    pub(super) list_type: String,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub(super) list_map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-validations")]
    pub(super) rules: Vec<Rule>,
    /// The compiled pattern and format; `None` until [`Node::compile`], or without either.
    #[serde(skip)]
    pub(super) text: Option<jsonschema::Validator>,
    #[serde(skip)]
    pub(super) known_format: Option<Format>,
}

/// `additionalProperties`: whether others are allowed, or what they look like.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Additional {
    Allowed(bool),
    Schema(Box<Node>),
}

/// A format that is checked; all others are documentation.
#[derive(Debug)]
pub(super) enum Format {
    /// One that the JSON schema library knows, or that a pattern tells.
    Library(jsonschema::Validator),
    Base64,
    GoDuration,
    Cidr,
}

impl Node {
    /// Compiles the patterns here and below. The error is the pattern and what is wrong with it.
    pub(super) fn compile(&mut self) -> Result<(), (String, String)> {
        if !self.pattern.is_empty() {
            let schema = json!({"type": "string", "pattern": self.pattern});
            let compiled = jsonschema::validator_for(&schema);
            self.text = Some(compiled.map_err(|error| (self.pattern.clone(), error.to_string()))?);
        }
        if self.type_name.is_empty() || self.type_name == "string" {
            self.known_format = Format::named(&self.format);
        }
        self.below_mut().into_iter().try_for_each(Self::compile)
    }

    fn below_mut(&mut self) -> Vec<&mut Node> {
        let mut below: Vec<&mut Node> = self.properties.values_mut().collect();
        below.extend(self.items.as_deref_mut());
        below.extend(self.not.as_deref_mut());
        below.extend(self.all_of.iter_mut().chain(&mut self.any_of).chain(&mut self.one_of));
        if let Some(Additional::Schema(node)) = &mut self.additional_properties {
            below.push(node);
        }
        below
    }

    /// The schema of the map entries, where this is a map.
    pub(super) fn entries(&self) -> Option<&Node> {
        match &self.additional_properties {
            Some(Additional::Schema(node)) => Some(node),
            Some(Additional::Allowed(_)) | None => None,
        }
    }

    /// The schema of the member of that name, declared or an entry.
    pub(super) fn member(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or_else(|| self.entries())
    }

    /// The names of the types that a value may have.
    pub(super) fn types(&self) -> Vec<&str> {
        match self.type_name.as_str() {
            _ if self.int_or_string => vec!["integer", "string"],
            "" => Vec::new(),
            name => vec![name],
        }
    }

    /// The format, where the type knows it.
    pub(super) fn checked_format(&self) -> &str {
        let known: &[&str] = match self.type_name.as_str() {
            "integer" => &["int32", "int64"],
            "number" => &["float", "double"],
            "" | "string" if self.known_format.is_some() || self.format == "password" => return &self.format,
            _ => &[],
        };
        if known.contains(&self.format.as_str()) { &self.format } else { "" }
    }

    /// The item of the old list that an item of the new one was.
    pub(super) fn same_item<'a>(&self, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
        if self.list_type != "map" {
            return None;
        }
        let same = |old: &&Value| self.list_map_keys.iter().all(|key| old.get(key) == item.get(key));
        old?.as_array()?.iter().find(same)
    }
}

impl Format {
    fn named(format: &str) -> Option<Self> {
        let library = |schema: Value| {
            let options = jsonschema::options().should_validate_formats(true);
            options.build(&schema).ok().map(Self::Library)
        };
        let pattern = |pattern: &str| library(json!({"pattern": pattern}));
        match format.replace('-', "").as_str() {
            "datetime" => library(json!({"format": "date-time"})),
            name @ ("date" | "email" | "hostname" | "ipv4" | "ipv6" | "uri" | "uuid") => {
                library(json!({"format": name}))
            }
            "byte" => Some(Self::Base64),
            "duration" => Some(Self::GoDuration),
            "cidr" => Some(Self::Cidr),
            "mac" => pattern("^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$"),
            "hexcolor" => pattern("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
            "k8sshortname" => pattern("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"),
            "k8slongname" => pattern("^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
            _ => None,
        }
    }

    /// Whether the text is of this format.
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Library(validator) => validator.is_valid(&json!(text)),
            Self::Base64 => STANDARD.decode(text).is_ok(),
            Self::GoDuration => is_go_duration(text),
            Self::Cidr => is_cidr(text),
        }
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let max = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= max)
}

/// `1h30m`, `-1.5s`, `0`: what Go's time.ParseDuration reads.
fn is_go_duration(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() || text.len() - rest.len() > 1 {
        return false;
    }
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        if rest[..number].parse::<f64>().is_err() {
            return false;
        }
        let units = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let after = &rest[number..];
        let unit = units.iter().filter_map(|unit| after.strip_prefix(unit)).min_by_key(|left| left.len());
        let Some(left) = unit else { return false };
        rest = left;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_good_from_bad() {
        let cases = [
            ("date-time", "2026-11-22T20:00:00Z", "yesterday"),
            ("date", "2026-11-22", "22.11."),
            ("ipv4", "10.0.0.1", "10.0.0"),
            ("ipv6", "::1", "10.0.0.1"),
            ("uri", "https://example.com/x", "::"),
            ("uuid", "24757909-805d-4314-b8f3-aa2c2c242ba9", "2475"),
            ("byte", "YQ==", "a!"),
            ("duration", "1h30m", "1 hour"),
            ("duration", "-1.5ms", "PT5S"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "00:00:5e:00:53:01", "00:00"),
            ("k8s-short-name", "a-b", "A"),
            ("k8s-long-name", "a.b", "a..b"),
        ];
        for (format, good, bad) in cases {
            let known = Format::named(format).unwrap();
            assert!(known.fits(good), "{format} {good}");
            assert!(!known.fits(bad), "{format} {bad}");
        }
        assert!(Format::named("whatever").is_none());
    }
}
