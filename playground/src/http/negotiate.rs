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

/// Chooses the form.
pub(super) fn negotiate(accept: &str, of: Of) -> Result<Form, Status> {
    if accept.trim().is_empty() {
        return Ok(Form::Full);
    }
    accept.split(',').find_map(|media| form(media, of)).ok_or_else(Status::not_acceptable)
}

/// True where the client reads aggregated discovery.
pub(super) fn wants_aggregated_discovery(accept: &str) -> bool {
    let first = accept.split(',').find(|media| media.trim().starts_with("application/json"));
    first.is_some_and(|media| {
        parameter(media, "as") == Some("APIGroupDiscoveryList") && parameter(media, "v") == Some("v2")
    })
}

fn form(media: &str, of: Of) -> Option<Form> {
    let kind = media.split(';').next().unwrap_or_default().trim();
    if !matches!(kind, "application/json" | "application/*" | "*/*") {
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

fn parameter<'a>(media: &'a str, name: &str) -> Option<&'a str> {
    let pairs = media.split(';').skip(1).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::{Form, Of, negotiate};

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
