//! The query's options, and the rules among them (`ListOptions` and its validation).

use tokio::time::Duration;

use crate::cluster::FieldValidation;
use crate::schema::Cause;
use crate::selector::Selector;
use crate::status::Status;
use crate::storage::Revision;

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
    /// Of a question for the server's health.
    pub(super) verbose: bool,
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
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            query.set(&name, &value);
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
            "limit" => self.limit = value.parse().unwrap_or(0),
            "continue" => value.clone_into(&mut self.continue_token),
            "allowWatchBookmarks" => self.allow_bookmarks = truth,
            "sendInitialEvents" => self.send_initial_events = Some(truth),
            "timeoutSeconds" => self.timeout = value.parse().ok().filter(|s| *s > 0).map(Duration::from_secs),
            "fieldManager" => self.field_manager = Some(value.to_owned()),
            "fieldValidation" => value.clone_into(&mut self.field_validation),
            "force" => self.force = Some(truth),
            "dryRun" => self.dry_run.push(value.to_owned()),
            "propagationPolicy" => self.propagation_policy = Some(value.to_owned()),
            "gracePeriodSeconds" => self.grace_period_seconds = value.parse().ok(),
            "verbose" => self.verbose = true,
            "includeObject" => value.clone_into(&mut self.include_object),
            _ => {}
        }
    }

    pub(super) fn selector(&self) -> Result<Selector, Status> {
        Selector::parse(&self.label_selector, &self.field_selector).map_err(Status::bad_request)
    }

    /// The one object that the field selector leaves.
    pub(super) fn selected_name(&self) -> Option<String> {
        Selector::parse("", &self.field_selector).ok()?.name().map(str::to_owned)
    }

    /// `options` names the kind that the API server blames (`CreateOptions` ...).
    pub(super) fn dry_run(&self, options: &str) -> Result<bool, Status> {
        match self.dry_run.iter().find(|value| *value != "All") {
            None => Ok(!self.dry_run.is_empty()),
            Some(other) => {
                let message = format!("Unsupported value: {other:?}: supported values: \"All\"");
                Err(Status::invalid_options(options, vec![cause("FieldValueNotSupported", "dryRun", &message)]))
            }
        }
    }

    pub(super) fn field_validation(&self, options: &str) -> Result<FieldValidation, Status> {
        match self.field_validation.as_str() {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => {
                let message =
                    format!("Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\"");
                let cause = cause("FieldValueNotSupported", "fieldValidation", &message);
                Err(Status::invalid_options(options, vec![cause]))
            }
        }
    }

    /// Which state a list is to show.
    pub(super) fn list_freshness(&self) -> Result<Freshness, Status> {
        if self.send_initial_events.is_some() {
            return Err(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        if !self.continue_token.is_empty() {
            if !self.version_match.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                return Err(forbidden("resourceVersionMatch", why));
            }
            if !matches!(self.resource_version.as_str(), "" | "0") {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
        }
        let revision = self.revision()?;
        match (self.version_match.as_str(), revision) {
            ("", None) => Ok(Freshness::Newest),
            ("", Some(0)) => Ok(Freshness::Any),
            // Without a match, a limit turns "at least" into "exactly".
            ("", Some(revision)) if self.limit > 0 => Ok(Freshness::Exact(revision)),
            ("" | "NotOlderThan", Some(revision)) => Ok(Freshness::NotOlderThan(revision)),
            ("Exact", Some(0)) => {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                Err(forbidden("resourceVersionMatch", why))
            }
            ("Exact", Some(revision)) => Ok(Freshness::Exact(revision)),
            ("NotOlderThan" | "Exact", None) => {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                Err(forbidden("resourceVersionMatch", why))
            }
            (other, _) => {
                let message = format!("Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\"");
                let cause = cause("FieldValueNotSupported", "resourceVersionMatch", &message);
                Err(Status::invalid_options("ListOptions", vec![cause]))
            }
        }
    }

    /// Checks the options of a watch; the revision it starts from, `None` for the newest state.
    pub(super) fn watch_start(&self) -> Result<Option<Revision>, Status> {
        match (self.send_initial_events, self.version_match.as_str()) {
            (None, "") | (Some(_), "NotOlderThan") => {}
            (None, _) => {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                return Err(forbidden("resourceVersionMatch", why));
            }
            (Some(_), _) => {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                return Err(forbidden("resourceVersionMatch", why));
            }
        }
        self.revision()
    }

    fn revision(&self) -> Result<Option<Revision>, Status> {
        let text = &self.resource_version;
        if text.is_empty() {
            return Ok(None);
        }
        let unparsable = |_| {
            let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            Status::failure(500, "", format!("resourceVersion: Invalid value: {text:?}: {why}"))
        };
        text.parse().map(Some).map_err(unparsable)
    }
}

fn forbidden(field: &str, why: &str) -> Status {
    let cause = cause("FieldValueForbidden", field, &format!("Forbidden: {why}"));
    Status::invalid_options("ListOptions", vec![cause])
}

pub(super) fn cause(reason: &str, field: &str, message: &str) -> Cause {
    Cause { reason: reason.into(), field: field.into(), message: message.into() }
}
