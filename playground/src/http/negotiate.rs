//! The `Accept` header: in which form an answer is wanted.
//!
//! A client lists what it can read, best first; the first that the verb can offer is what it gets. kubectl asks for a
//! table and falls back to JSON, informers of metadata ask for nothing but metadata.

use crate::status::Status;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Whole objects.
    Full,
    /// `PartialObjectMetadata`, or a list of them.
    Metadata,
    /// `Table`: rows and columns for people.
    Table,
}

/// What kind of answer the forms are for: each has its own name for metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// One object, or a stream of them.
    Object,
    /// A list.
    List,
}

/// How an answer is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Also where protobuf is welcome, which the playground does not write.
    Json,
    /// Never a watch.
    Yaml,
}

/// What the client likes best comes first; of what it likes as much, what it names first.
fn clauses(accept: &str) -> Vec<&str> {
    let quality = |media: &&str| parameter(media, "q").and_then(|text| text.parse().ok()).unwrap_or(1.0_f64);
    let mut clauses: Vec<&str> = accept.split(',').collect();
    clauses.sort_by(|one, other| quality(other).total_cmp(&quality(one)));
    clauses
}

/// Chooses the encoding: that of the first form that can be served, be it of an object or of a list.
pub(super) fn encoding(accept: &str) -> Encoding {
    let served = |media: &&str| form(media, Of::Object).or(form(media, Of::List)).is_some();
    match clauses(accept).into_iter().find(served).map(kind) {
        Some("application/yaml") => Encoding::Yaml,
        _ => Encoding::Json,
    }
}

/// The form of a stream, which is written as JSON alone.
pub(super) fn negotiate_stream(accept: &str) -> Result<Form, Status> {
    let form = negotiate(accept, Of::Object)?;
    match encoding(accept) {
        Encoding::Json => Ok(form),
        Encoding::Yaml => Err(Status::not_streamable()),
    }
}

/// Chooses the form.
pub(super) fn negotiate(accept: &str, of: Of) -> Result<Form, Status> {
    if accept.trim().is_empty() {
        return Ok(Form::Full);
    }
    clauses(accept).into_iter().find_map(|media| form(media, of)).ok_or_else(Status::not_acceptable)
}

/// True where the client reads aggregated discovery.
pub(super) fn wants_aggregated_discovery(accept: &str) -> bool {
    let first = accept.split(',').find(|media| media.trim().starts_with("application/json"));
    first.is_some_and(|media| {
        parameter(media, "as") == Some("APIGroupDiscoveryList") && parameter(media, "v") == Some("v2")
    })
}

fn form(media: &str, of: Of) -> Option<Form> {
    if !matches!(kind(media), "application/json" | "application/yaml" | "application/*" | "*/*") {
        return None;
    }
    let metadata = match of {
        Of::Object => "PartialObjectMetadata",
        Of::List => "PartialObjectMetadataList",
    };
    match parameter(media, "as") {
        None => Some(Form::Full),
        Some(_) if parameter(media, "g") != Some("meta.k8s.io") || parameter(media, "v") != Some("v1") => None,
        Some("Table") => Some(Form::Table),
        Some(asked) if asked == metadata => Some(Form::Metadata),
        Some(_) => None,
    }
}

fn kind(media: &str) -> &str {
    media.split(';').next().unwrap_or_default().trim()
}

fn parameter<'a>(media: &'a str, name: &str) -> Option<&'a str> {
    let pairs = media.split(';').skip(1).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Form, Of, encoding, negotiate, negotiate_stream};

    #[test]
    fn yaml_is_written_where_it_is_liked_best_and_never_in_a_stream() {
        for (accept, wanted) in [
            ("", Encoding::Json),
            ("*/*", Encoding::Json),
            ("application/yaml", Encoding::Yaml),
            ("application/yaml, application/json", Encoding::Yaml),
            ("application/yaml;q=0.1, application/json", Encoding::Json),
            ("application/vnd.kubernetes.protobuf, application/yaml", Encoding::Yaml),
            ("application/yaml;as=Table;v=v1;g=meta.k8s.io", Encoding::Yaml),
            ("application/yaml;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Encoding::Json),
        ] {
            assert_eq!(encoding(accept), wanted, "{accept}");
            assert_eq!(negotiate_stream(accept).is_ok(), wanted == Encoding::Json, "{accept}");
        }
    }

    #[test]
    fn the_first_form_that_can_be_served_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        for (accept, of, expected) in [
            ("", Of::Object, Some(Form::Full)),
            ("*/*", Of::List, Some(Form::Full)),
            ("application/vnd.kubernetes.protobuf, application/json", Of::List, Some(Form::Full)),
            (kubectl, Of::List, Some(Form::Table)),
            (list, Of::List, Some(Form::Metadata)),
            (list, Of::Object, None),
            ("application/xml", Of::List, None),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Of::List, None),
        ] {
            assert_eq!(negotiate(accept, of).ok(), expected, "{accept}");
        }
    }
}
