//! The query's options, and the rules among them (`ListOptions` and its validation).

use std::collections::BTreeSet;
use std::num::{IntErrorKind, ParseIntError};

use serde_json::Value;
use tokio::time::Duration;

use super::deadline;
use crate::cluster::FieldValidation;
use crate::schema::Cause;
use crate::selector::Selector;
use crate::status::Status;
use crate::storage::Revision;

/// The longest name of a field manager, in bytes.
const LONGEST_MANAGER: usize = 128;

const NO_MATCH_WITH_CONTINUE: &str = "resourceVersionMatch is forbidden when continue is provided";

/// All options that any verb knows; those of other verbs are ignored, as the API server does.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) watch: bool,
    pub(super) label_selector: String,
    pub(super) field_selector: String,
    pub(super) resource_version: String,
    pub(super) version_match: String,
    pub(super) limit: usize,
    pub(super) continue_token: String,
    pub(super) allow_bookmarks: bool,
    pub(super) send_initial_events: Option<bool>,
    pub(super) timeout: Option<Duration>,
    pub(super) field_manager: Option<String>,
    pub(super) field_validation: String,
    pub(super) force: Option<bool>,
    pub(super) dry_run: Vec<String>,
    pub(super) propagation_policy: Option<String>,
    pub(super) grace_period_seconds: Option<u64>,
    pub(super) include_object: String,
    /// The first option that should be a number and is none.
    malformed: Option<String>,
    /// Of a question for the server's health.
    pub(super) verbose: bool,
    deadline: String,
}

/// From which state a list or watch is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// The newest.
    Newest,
    /// Any; here that is the newest too, but a limit does not apply.
    Any,
    /// At least this new.
    NotOlderThan(Revision),
    /// Exactly this.
    Exact(Revision),
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            // Of an option that is given twice, the first counts.
            if name == "dryRun" || seen.insert(name.to_string()) {
                query.set(&name, &value);
            }
        }
        query
    }

    fn set(&mut self, name: &str, value: &str) {
        let truth = !matches!(value, "0" | "false");
        match name {
            "watch" => self.watch = truth,
            "labelSelector" => value.clone_into(&mut self.label_selector),
            "fieldSelector" => value.clone_into(&mut self.field_selector),
            "resourceVersion" => value.clone_into(&mut self.resource_version),
            "resourceVersionMatch" => value.clone_into(&mut self.version_match),
            "limit" => self.limit = self.integer(value).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0),
            "continue" => value.clone_into(&mut self.continue_token),
            "allowWatchBookmarks" => self.allow_bookmarks = truth,
            "sendInitialEvents" => self.send_initial_events = Some(truth),
            "timeoutSeconds" => {
                let seconds = self.integer(value).and_then(|seconds| u64::try_from(seconds).ok());
                self.timeout = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
            }
            "timeout" => value.clone_into(&mut self.deadline),
            "fieldManager" => self.field_manager = Some(value.to_owned()),
            "fieldValidation" => value.clone_into(&mut self.field_validation),
            "force" => self.force = Some(truth),
            "dryRun" => self.dry_run.push(value.to_owned()),
            "propagationPolicy" => self.propagation_policy = Some(value.to_owned()),
            "gracePeriodSeconds" => {
                self.grace_period_seconds = self.integer(value).and_then(|seconds| u64::try_from(seconds).ok());
            }
            "verbose" => self.verbose = true,
            "includeObject" => value.clone_into(&mut self.include_object),
            _ => {}
        }
    }

    /// A number, or nothing; what is no number is remembered, and refused by those verbs that would have read it.
    fn integer(&mut self, text: &str) -> Option<i64> {
        if text.is_empty() {
            return None;
        }
        let parsed = text.parse::<i64>();
        if let Err(error) = &parsed {
            self.malformed.get_or_insert_with(|| number_fault("ParseInt", text, error));
        }
        parsed.ok()
    }

    /// Refuses options that can't be read.
    pub(super) fn check(&self) -> Result<(), Status> {
        self.malformed.as_ref().map_or(Ok(()), |why| Err(Status::bad_request(why)))
    }

    /// Refuses a deadline that is none; a watch does not look at it.
    pub(super) fn check_deadline(&self) -> Result<(), Status> {
        let asked = Some(self.deadline.as_str()).filter(|text| !text.is_empty() && !self.watch);
        match asked.and_then(deadline::fault) {
            None => Ok(()),
            Some(why) => Err(Status::bad_request(format!("invalid timeout specified in the request URL - {why}"))),
        }
    }

    pub(super) fn selector(&self) -> Result<Selector, Status> {
        Selector::parse(&self.label_selector, &self.field_selector).map_err(Status::bad_request)
    }

    /// The one object that the field selector leaves.
    pub(super) fn selected_name(&self) -> Option<String> {
        Selector::parse("", &self.field_selector).ok()?.name().map(str::to_owned)
    }

    /// Whether nothing is to be written.
    pub(super) fn is_dry_run(&self) -> bool {
        !self.dry_run.is_empty()
    }

    /// What is done about unknown fields; one that is not known is told by [`Self::write_faults`].
    pub(super) fn field_validation(&self) -> FieldValidation {
        match self.field_validation.as_str() {
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            _ => FieldValidation::Warn,
        }
    }

    /// All that is wrong with the options that the writes share, in the API server's order.
    pub(super) fn write_faults(&self) -> Vec<Cause> {
        let mut faults = Vec::new();
        let manager = self.field_manager.as_deref().unwrap_or_default();
        if manager.len() > LONGEST_MANAGER {
            let message = format!("Too long: may not be more than {LONGEST_MANAGER} bytes");
            faults.push(cause("FieldValueTooLong", "fieldManager", &message));
        }
        for (at, character) in manager.char_indices().filter(|(_, character)| character.is_control()) {
            let shown: String = manager.chars().map(go_quoted).collect();
            let code = u32::from(character);
            let message = format!("Invalid value: \"{shown}\": invalid character U+{code:04X} (at position {at})");
            faults.push(cause("FieldValueInvalid", "fieldManager", &message));
        }
        faults.extend(dry_run_fault(&self.dry_run));
        if !matches!(self.field_validation.as_str(), "" | "Ignore" | "Strict" | "Warn") {
            let message = format!(
                "Unsupported value: {:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
                self.field_validation
            );
            faults.push(cause("FieldValueNotSupported", "fieldValidation", &message));
        }
        faults
    }

    /// Which state a list is to show.
    pub(super) fn list_freshness(&self) -> Result<Freshness, Status> {
        self.refuse(self.list_faults())?;
        if !self.continue_token.is_empty() {
            return match self.resource_version.as_str() {
                "" | "0" => Ok(Freshness::Newest),
                _ => Err(Status::bad_request("specifying resource version is not allowed when using continue")),
            };
        }
        let revision =
            self.revision().map_err(|why| Status::bad_request(format!("invalid resource version: {why}")))?;
        Ok(match (self.version_match.as_str(), revision) {
            (_, None) => Freshness::Newest,
            ("" | "NotOlderThan", Some(0)) => Freshness::Any,
            // Without a match, a limit turns "at least" into "exactly".
            ("", Some(revision)) if self.limit > 0 => Freshness::Exact(revision),
            ("Exact", Some(revision)) => Freshness::Exact(revision),
            (_, Some(revision)) => Freshness::NotOlderThan(revision),
        })
    }

    fn list_faults(&self) -> Vec<Cause> {
        let mut faults = Vec::new();
        let matched = self.version_match.as_str();
        if !matched.is_empty() {
            if self.resource_version.is_empty() {
                faults.push(forbidden_match("resourceVersionMatch is forbidden unless resourceVersion is provided"));
            }
            if !self.continue_token.is_empty() {
                faults.push(forbidden_match(NO_MATCH_WITH_CONTINUE));
            }
            if !matches!(matched, "Exact" | "NotOlderThan") {
                faults.push(unsupported_match(matched, "\"Exact\", \"NotOlderThan\", \"\""));
            }
            if matched == "Exact" && self.resource_version == "0" {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                faults.push(forbidden_match(why));
            }
        }
        if self.send_initial_events.is_some() {
            faults.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        faults
    }

    /// Checks the options of a watch; the revision it starts from, `None` for the newest state.
    pub(super) fn watch_start(&self) -> Result<Option<Revision>, Status> {
        self.refuse(self.watch_faults())?;
        self.revision().map_err(|why| Status::failure(500, "", why))
    }

    fn watch_faults(&self) -> Vec<Cause> {
        let mut faults = Vec::new();
        let matched = self.version_match.as_str();
        let asked = self.send_initial_events.is_some();
        // A watch from the newest state or from any is a streaming list that does not say so.
        let implied = !asked && matched.is_empty() && matches!(self.resource_version.as_str(), "" | "0");
        if asked && matched != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            faults.push(forbidden_match(why));
        }
        if !matched.is_empty() && !asked {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            faults.push(forbidden_match(why));
        }
        if !matches!(matched, "" | "NotOlderThan") {
            faults.push(unsupported_match(matched, "\"NotOlderThan\""));
        }
        if (!matched.is_empty() || implied) && !self.continue_token.is_empty() {
            faults.push(forbidden_match(NO_MATCH_WITH_CONTINUE));
        }
        faults
    }

    fn refuse(&self, faults: Vec<Cause>) -> Result<(), Status> {
        self.check()?;
        if faults.is_empty() { Ok(()) } else { Err(Status::invalid_options("ListOptions", faults)) }
    }

    /// The revision that was asked for, if any; the error is the API server's message.
    pub(super) fn revision(&self) -> Result<Option<Revision>, String> {
        let text = &self.resource_version;
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = text.parse().map(Some);
        parsed.map_err(|error| {
            let why = number_fault("ParseUint", text, &error);
            format!("resourceVersion: Invalid value: {text:?}: {why}")
        })
    }
}

/// What the API server says of a dry run that is not `All`.
pub(super) fn dry_run_fault(values: &[String]) -> Option<Cause> {
    let message = || format!("Unsupported value: {}: supported values: \"All\"", Value::from(values));
    values.iter().any(|value| value != "All").then(|| cause("FieldValueNotSupported", "dryRun", &message()))
}

/// A number that can't be read, in the words of Go's `strconv`.
fn number_fault(function: &str, text: &str, error: &ParseIntError) -> String {
    let why = match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

/// A character as Go's `%q` prints it.
fn go_quoted(character: char) -> String {
    match character {
        '\u{0}'..='\u{6}' | '\u{e}'..='\u{1f}' | '\u{7f}' => format!("\\x{:02x}", u32::from(character)),
        other => other.escape_default().to_string(),
    }
}

fn forbidden(field: &str, why: &str) -> Cause {
    cause("FieldValueForbidden", field, &format!("Forbidden: {why}"))
}

fn forbidden_match(why: &str) -> Cause {
    forbidden("resourceVersionMatch", why)
}

fn unsupported_match(matched: &str, supported: &str) -> Cause {
    let message = format!("Unsupported value: {matched:?}: supported values: {supported}");
    cause("FieldValueNotSupported", "resourceVersionMatch", &message)
}

pub(super) fn cause(reason: &str, field: &str, message: &str) -> Cause {
    Cause { reason: reason.into(), field: field.into(), message: message.into() }
}
