//! The reflector's decisions: what to ask next, given the outcome of the last request. Pure; [`super::run`] acts.
//!
//! ```text
//!              refused, or silent for 30 s                    complete
//!  ┌─────────────┐ ─────────────────────────► ┌─────────┐ ──────────────┐
//!  │  Streaming  │                            │ Listing │ ◄─┐ next page │
//!  │ (list+watch │                            └─────────┘ ──┘           │
//!  │  in one)    │ ──────────────┐                 ▲                    │
//!  └─────────────┘  the bookmark │                 │ (Streaming, where that works)
//!         ▲                      ▼                 │                    │
//!         │                 ┌──────────┐           │                    │
//!         └──────────────── │ Watching │ ──────────┘ ◄──────────────────┘
//!            410, a version └──────────┘
//!            going backwards,   │  ▲ the stream ended: again, from the last version
//!            an unreadable line └──┘
//! ```
//!
//! The invariant to keep in mind: everything up to `last` is in the store. `last` moves with each event and bookmark
//! while watching, and at the end of a list. In particular it does not move with the synthetic events of a streaming
//! list, which come in no order.

mod why;

use std::time::Duration;

use crate::client::ListParams;
use crate::object::ResourceVersion;
use crate::watch::{ListMeta, Status};

pub use why::{Failure, Reason};

/// The number of objects on a page of a list.
const PAGE: u32 = 500;
/// After this many failures in a row another approach is tried.
const PATIENCE: u32 = 3;
/// After a watch that ended sooner than this without any event, back off instead of asking again at once.
const SHORT: Duration = Duration::from_secs(1);

/// What to ask the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The complete state, then the changes, in one stream.
    Stream {
        /// Not older than this.
        since: Option<ResourceVersion>,
    },
    /// A page of the complete state.
    List(ListParams),
    /// The changes after a version.
    Watch {
        /// The version to continue from.
        since: ResourceVersion,
    },
}

/// When to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// At once.
    None,
    /// After the backoff, and not before the server's own `Retry-After`.
    Backoff(Option<Duration>),
}

/// How a stream ended without an error from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The server closed it properly.
    Clean,
    /// The connection broke.
    Broken,
    /// Nothing arrived for too long.
    Stalled,
    /// A line could not be read, so a change may have been missed.
    Unreadable,
}

/// What happened on a stream before it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// How long the stream was open.
    pub lasted: Duration,
    /// The version moved: something new arrived. A bookmark that repeats the last version does not count.
    pub moved: bool,
    /// The number of changed objects. Bookmarks don't count: a server may send those as often as it likes.
    pub events: u64,
}

/// The reflector's state. See the [module](self).
#[derive(Debug)]
pub struct Machine {
    state: State,
    /// Everything up to here is in the store. `None` before the first state is complete.
    last: Option<ResourceVersion>,
    /// Whether streaming lists work with this server, as far as is known.
    streaming: bool,
    /// The number of failures in a row.
    failures: u32,
    /// Why the complete state is being requested, or was requested last.
    reason: Reason,
    /// Whether the first state has to be the newest: one that the server had in its cache will not do.
    fresh: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Streaming {
        since: Option<ResourceVersion>,
    },
    Listing(ListParams),
    /// `moved` is set by the first change or bookmark after the state was complete.
    Watching {
        since: ResourceVersion,
        moved: bool,
    },
}

impl Machine {
    /// The machine of a reflector that knows nothing yet.
    pub fn new() -> Self {
        Self {
            state: State::Streaming { since: None },
            last: None,
            streaming: true,
            failures: 0,
            reason: Reason::Initial,
            fresh: false,
        }
    }

    /// From now on, only the newest state will do: request it, whatever is known already.
    pub fn refresh(&mut self) {
        self.fresh = true;
        let reason = if self.last.is_some() { Reason::Takeover } else { Reason::Initial };
        self.relist(None, reason);
    }

    /// What to ask next.
    pub fn ask(&self) -> Ask {
        match &self.state {
            State::Streaming { since } => Ask::Stream { since: since.clone() },
            State::Listing(params) => Ask::List(params.clone()),
            State::Watching { since, moved: _ } => Ask::Watch { since: since.clone() },
        }
    }

    /// Why the complete state is being requested, or was requested last.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Everything up to here is in the store. `None` before the first state is complete.
    pub fn last(&self) -> Option<&ResourceVersion> {
        self.last.as_ref()
    }

    /// A page of the list has been read. Returns the list's version if this was the last page: the state is complete.
    ///
    /// # Errors
    ///
    /// As for [`complete`](Self::complete).
    pub fn page(&mut self, meta: ListMeta) -> Result<Option<ResourceVersion>, WentBackwards> {
        let ListMeta { resource_version, continue_token } = meta;
        self.failures = 0;
        if continue_token.is_empty() {
            self.complete(resource_version.clone())?;
            return Ok(Some(resource_version));
        }
        if let State::Listing(params) = &mut self.state {
            params.continue_token = Some(continue_token);
        }
        Ok(None)
    }

    /// The state is complete as of this version; the changes after it come next.
    ///
    /// # Errors
    ///
    /// The version is older than the one that was requested, so the server was restored, and versions can no longer be
    /// compared with the store's. The state has to be requested again, without a version.
    pub fn complete(&mut self, version: ResourceVersion) -> Result<(), WentBackwards> {
        self.failures = 0;
        let not_older_than = match &self.state {
            State::Streaming { since } => since.as_ref(),
            State::Listing(params) => params.resource_version.as_ref(),
            State::Watching { .. } => None,
        };
        if not_older_than.is_some_and(|since| version < *since) {
            self.relist(None, Reason::WentBackwards);
            return Err(WentBackwards);
        }
        self.last = Some(version.clone());
        self.state = State::Watching { since: version, moved: false };
        Ok(())
    }

    /// An event or a bookmark has moved the watch to this version.
    ///
    /// # Errors
    ///
    /// The version goes backwards: the server's data were restored from a backup, and what is in the store may never
    /// have happened ([kubernetes#107457](https://github.com/kubernetes/kubernetes/issues/107457)). The state has to be
    /// read again.
    pub fn advance(&mut self, version: &ResourceVersion) -> Result<(), WentBackwards> {
        self.failures = 0;
        let State::Watching { since, moved } = &mut self.state else { return Ok(()) };
        if *version < *since {
            self.relist(None, Reason::WentBackwards);
            return Err(WentBackwards);
        }
        *moved |= *version > *since;
        *since = version.clone();
        self.last = Some(version.clone());
        Ok(())
    }

    /// The request failed.
    pub fn failed(&mut self, failure: Failure) -> Pause {
        match failure {
            Failure::Unavailable => Pause::Backoff(None),
            Failure::Busy(retry_after) => Pause::Backoff(retry_after),
            Failure::Gone => self.gone(),
            Failure::TooLarge => {
                self.relist(None, Reason::WentBackwards);
                Pause::Backoff(None)
            }
            Failure::Unsupported => self.unsupported(),
            Failure::Refused => {
                self.refused();
                Pause::Backoff(None)
            }
            Failure::Trouble => {
                self.trouble();
                Pause::Backoff(None)
            }
            Failure::Unreachable => {
                self.unreachable();
                Pause::Backoff(None)
            }
        }
    }

    /// The server ended the stream with a Status.
    pub fn error_event(&mut self, status: &Status) -> Pause {
        let retry_after = status.details.as_ref().and_then(|details| details.retry_after_seconds);
        match (Failure::answered(status, retry_after.map(Duration::from_secs)), &self.state) {
            // The stream failed after it had been accepted: what it was about to send may be the cause.
            (Failure::Trouble, State::Streaming { .. }) => self.failed(Failure::Refused),
            (failure, _) => self.failed(failure),
        }
    }

    /// The stream ended without a Status.
    pub fn ended(&mut self, ending: Ending, stats: StreamStats) -> Pause {
        match (&self.state, ending) {
            // Silent, or properly ended at its timeout: the bookmark will not come.
            (State::Streaming { .. }, Ending::Stalled | Ending::Clean) => {
                self.list(Reason::Stalled);
                if stats.lasted < SHORT { Pause::Backoff(None) } else { Pause::None }
            }
            // A list can skip an item that it can't read, a stream can't.
            (State::Streaming { .. }, Ending::Unreadable) => {
                self.list(Reason::Unreadable);
                Pause::Backoff(None)
            }
            (_, Ending::Unreadable) => {
                self.relist(self.last.clone(), Reason::Unreadable);
                Pause::Backoff(None)
            }
            (State::Streaming { .. } | State::Listing(_), _) => {
                self.trouble();
                Pause::Backoff(None)
            }
            (State::Watching { .. }, Ending::Clean | Ending::Broken | Ending::Stalled) => {
                // Nothing new at all: perhaps this server will never reach the version. After a few times, list again.
                if ending == Ending::Broken {
                    self.unreachable();
                } else if !stats.moved {
                    self.trouble();
                }
                let lively = stats.moved && stats.events > 0;
                if stats.lasted < SHORT && !lively { Pause::Backoff(None) } else { Pause::None }
            }
        }
    }

    /// The version is too old. If a version was requested, request the newest state instead; if the newest state was
    /// requested already, the server contradicts itself and gets some time.
    fn gone(&mut self) -> Pause {
        match &mut self.state {
            State::Watching { since: _, moved } => {
                // The state was listed for this very reason a moment ago, and is too old already: list again, but not
                // in a hot loop.
                let again = !*moved && self.reason == Reason::Expired;
                self.relist(self.last.clone(), Reason::Expired);
                if again { Pause::Backoff(None) } else { Pause::None }
            }
            State::Streaming { since } => {
                let pause = if since.is_some() { Pause::None } else { Pause::Backoff(None) };
                *since = None;
                pause
            }
            // The list is so long that its version expires before the last page: request it without pages.
            State::Listing(params) if params.continue_token.is_some() => {
                *params =
                    ListParams { limit: 0, continue_token: None, resource_version: params.resource_version.take() };
                Pause::None
            }
            State::Listing(params) => {
                let pause = if params.resource_version.is_some() { Pause::None } else { Pause::Backoff(None) };
                params.resource_version = None;
                pause
            }
        }
    }

    /// The server will never support this request: use another one from now on.
    fn unsupported(&mut self) -> Pause {
        match self.state {
            State::Streaming { .. } => {
                self.streaming = false;
                self.list(Reason::Refused);
                Pause::None
            }
            State::Listing(_) | State::Watching { .. } => {
                self.trouble();
                Pause::Backoff(None)
            }
        }
    }

    /// The server does not answer this request now: use another one this time. One failure must not disable streaming
    /// lists, which are cheaper, for the rest of this process.
    fn refused(&mut self) {
        match self.state {
            State::Streaming { .. } => self.list(Reason::Refused),
            State::Listing(_) | State::Watching { .. } => self.trouble(),
        }
    }

    /// The server could not be reached, or the connection broke. A watch keeps its version: an API server that was away
    /// for a minute has forgotten nothing, and relists of every kind at once could bring it down again. A list may have
    /// been too much for the server, so for a list this counts as trouble.
    fn unreachable(&mut self) {
        match self.state {
            State::Streaming { .. } | State::Listing(_) => self.trouble(),
            State::Watching { .. } => {}
        }
    }

    /// It failed, and the failure does not say what would work instead.
    fn trouble(&mut self) {
        self.failures += 1;
        if self.failures < PATIENCE {
            return;
        }
        self.failures = 0;
        match &mut self.state {
            State::Streaming { .. } => self.list(Reason::Trouble),
            // One page, or all of them at once, keeps failing: start again from the first page.
            State::Listing(params) => {
                let resource_version = params.resource_version.take();
                *params = ListParams { limit: PAGE, resource_version, continue_token: None };
            }
            State::Watching { .. } => self.relist(None, Reason::Trouble),
        }
    }

    /// Requests the complete state again, not older than `since`.
    fn relist(&mut self, since: Option<ResourceVersion>, reason: Reason) {
        self.failures = 0;
        self.reason = reason;
        if self.streaming {
            self.state = State::Streaming { since };
        } else {
            self.state = State::Listing(ListParams { limit: PAGE, resource_version: since, continue_token: None });
        }
    }

    /// Requests the complete state in pages instead of a stream, with the same lower bound as the stream. The first
    /// state may be of any version, which the server answers from its cache.
    fn list(&mut self, reason: Reason) {
        self.reason = reason;
        let resource_version = match (&self.state, &self.last) {
            // If the stream had no lower bound, versions may have gone backwards, and then `last` means nothing.
            (State::Streaming { since }, Some(_)) => since.clone(),
            (_, None) if self.fresh => None,
            (_, last) => Some(last.clone().unwrap_or_else(ResourceVersion::any)),
        };
        self.state = State::Listing(ListParams { limit: PAGE, resource_version, continue_token: None });
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// A `resourceVersion` was smaller than an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the resourceVersion went backwards: the API server's data were restored from a backup")]
pub struct WentBackwards;

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Pause = Pause::Backoff(None);
    const LONG_AND_BUSY: StreamStats = StreamStats { lasted: Duration::from_secs(300), moved: true, events: 9 };
    const SILENT: StreamStats = StreamStats { lasted: Duration::from_secs(90), moved: false, events: 0 };

    fn watching(version: &str) -> Machine {
        let mut machine = Machine::new();
        machine.complete(version.into()).unwrap();
        machine
    }

    /// In pages, because streaming lists were refused.
    fn listing() -> Machine {
        let mut machine = Machine::new();
        assert_eq!(machine.failed(Failure::Unsupported), Pause::None);
        machine
    }

    fn list(limit: u32, version: Option<&str>, token: Option<&str>) -> Ask {
        Ask::List(ListParams {
            limit,
            resource_version: version.map(ResourceVersion::from),
            continue_token: token.map(str::to_owned),
        })
    }

    fn stream(since: Option<&str>) -> Ask {
        Ask::Stream { since: since.map(ResourceVersion::from) }
    }

    fn watch(since: &str) -> Ask {
        Ask::Watch { since: since.into() }
    }

    fn page(version: &str, token: &str) -> ListMeta {
        ListMeta { resource_version: version.into(), continue_token: token.to_owned() }
    }

    fn status(code: u16, cause: &str) -> Status {
        let json =
            serde_json::json!({"code": code, "details": {"causes": [{"reason": cause}], "retryAfterSeconds": 7}});
        serde_json::from_value(json).unwrap()
    }

    /// What a server says in the stream that can't stream lists, as recorded.
    fn unsupported() -> Status {
        let message = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled";
        Status { code: 500, message: message.to_owned(), ..Status::default() }
    }

    #[test]
    fn a_streaming_list_is_tried_first_and_goes_on_as_the_watch() {
        let mut machine = Machine::new();
        assert_eq!(machine.ask(), stream(None));
        machine.complete("40".into()).unwrap();
        assert_eq!(machine.ask(), watch("40"));
    }

    #[test]
    fn a_server_that_refuses_streaming_lists_is_asked_for_pages_and_never_for_a_stream_again() {
        for refuse in [
            |machine: &mut Machine| machine.failed(Failure::answered(&status(400, ""), None)),
            |machine: &mut Machine| machine.failed(Failure::answered(&status(422, ""), None)),
            |machine: &mut Machine| machine.error_event(&unsupported()),
        ] {
            let mut machine = Machine::new();
            assert_eq!(refuse(&mut machine), Pause::None);
            assert_eq!(machine.ask(), list(500, Some("0"), None));
            machine.page(page("40", "")).unwrap();
            machine.failed(Failure::Gone);
            assert_eq!(machine.ask(), list(500, Some("40"), None));
        }
    }

    /// One 503 in a bad moment meant pages for as long as the process lived.
    #[test]
    fn a_streaming_list_that_fails_once_becomes_a_list_this_time() {
        for fail in [
            |machine: &mut Machine| machine.error_event(&status(503, "")),
            |machine: &mut Machine| machine.error_event(&status(408, "")),
            |machine: &mut Machine| machine.failed(Failure::answered(&status(408, ""), None)),
        ] {
            let mut machine = Machine::new();
            assert_eq!(fail(&mut machine), SOON);
            assert_eq!(machine.ask(), list(500, Some("0"), None));
            machine.page(page("40", "")).unwrap();
            machine.failed(Failure::Gone);
            assert_eq!(machine.ask(), stream(Some("40")), "the next time it may work");
        }
    }

    #[test]
    fn a_streaming_list_that_never_ends_becomes_a_list_this_time() {
        let mut machine = Machine::new();
        assert_eq!(machine.ended(Ending::Stalled, SILENT), Pause::None);
        assert_eq!(machine.ask(), list(500, Some("0"), None));
        machine.page(page("40", "")).unwrap();
        machine.failed(Failure::Gone);
        assert_eq!(machine.ask(), stream(Some("40")), "the next time it may work");
    }

    #[test]
    fn synthetic_events_do_not_move_the_version() {
        let mut machine = Machine::new();
        machine.advance(&"70".into()).unwrap();
        machine.advance(&"30".into()).unwrap();
        assert_eq!(machine.ask(), stream(None));
    }

    #[test]
    fn later_pages_go_by_the_token_and_the_last_one_completes_the_state() {
        let mut machine = listing();
        assert_eq!(machine.page(page("40", "two")), Ok(None));
        assert_eq!(machine.ask(), list(500, Some("0"), Some("two")));
        assert_eq!(machine.page(page("40", "")), Ok(Some("40".into())));
        assert_eq!(machine.ask(), watch("40"));
    }

    #[test]
    fn a_list_that_expires_between_pages_is_read_whole_and_once() {
        let mut machine = listing();
        machine.page(page("40", "two")).unwrap();
        assert_eq!(machine.failed(Failure::Gone), Pause::None);
        assert_eq!(machine.ask(), list(0, Some("0"), None));
    }

    /// A token that the server can't read any more, or a page that it always fails on, was asked for until the end of days.
    #[test]
    fn a_page_that_never_comes_is_given_up_for_the_first_one() {
        let failures = [Failure::Unsupported, Failure::Refused, Failure::Trouble, Failure::Unreachable];
        for failure in failures {
            let mut machine = listing();
            machine.page(page("40", "two")).unwrap();
            for _ in 0..3 {
                assert_eq!(machine.ask(), list(500, Some("0"), Some("two")));
                assert_eq!(machine.failed(failure), SOON);
            }
            assert_eq!(machine.ask(), list(500, Some("0"), None));
        }
    }

    #[test]
    fn a_whole_list_that_never_comes_is_read_in_pages_again() {
        let mut machine = listing();
        machine.page(page("40", "two")).unwrap();
        machine.failed(Failure::Gone);
        for _ in 0..3 {
            assert_eq!(machine.ask(), list(0, Some("0"), None));
            machine.failed(Failure::Unreachable);
        }
        assert_eq!(machine.ask(), list(500, Some("0"), None));
    }

    #[test]
    fn a_list_that_is_gone_or_too_new_asks_for_the_newest() {
        let mut machine = listing();
        assert_eq!(machine.failed(Failure::Gone), Pause::None);
        assert_eq!(machine.ask(), list(500, None, None));
        assert_eq!(machine.failed(Failure::Gone), SOON, "it makes no sense, so not at once");

        let mut machine = listing();
        assert_eq!(machine.failed(Failure::TooLarge), SOON);
        assert_eq!(machine.ask(), list(500, None, None));
        assert_eq!(Failure::answered(&status(504, "ResourceVersionTooLarge"), None), Failure::TooLarge);
    }

    #[test]
    fn a_clean_end_watches_again_at_once_from_the_last_version() {
        let mut machine = watching("40");
        machine.advance(&"45".into()).unwrap();
        assert_eq!(machine.ended(Ending::Clean, LONG_AND_BUSY), Pause::None);
        assert_eq!(machine.ask(), watch("45"));
    }

    #[test]
    fn an_end_within_a_second_without_an_event_backs_off() {
        let mut machine = watching("40");
        let at_once = StreamStats { lasted: Duration::from_millis(10), moved: false, events: 0 };
        assert_eq!(machine.ended(Ending::Clean, at_once), SOON);
        assert_eq!(machine.ask(), watch("40"));
    }

    #[test]
    fn a_watch_that_is_gone_lists_again_from_the_last_version() {
        let mut machine = watching("40");
        assert_eq!(machine.error_event(&status(410, "")), Pause::None);
        assert_eq!((machine.ask(), machine.reason()), (stream(Some("40")), Reason::Expired));
        assert_eq!(machine.failed(Failure::Gone), Pause::None);
        assert_eq!(machine.ask(), stream(None));
    }

    #[test]
    fn a_server_that_forgets_at_once_what_it_lists_is_not_asked_in_a_hot_loop() {
        let mut machine = watching("40");
        let mut expires = |moves: Option<&str>| {
            if let Some(version) = moves {
                machine.advance(&version.into()).unwrap();
            }
            let pause = machine.error_event(&status(410, ""));
            let version = machine.last().cloned().unwrap();
            machine.complete(version).unwrap();
            pause
        };
        assert_eq!([expires(None), expires(None), expires(None)], [Pause::None, SOON, SOON]);
        assert_eq!([expires(Some("40")), expires(Some("41"))], [SOON, Pause::None], "the same version is no news");
    }

    #[test]
    fn a_busy_server_says_when_and_the_watch_goes_on_where_it_was() {
        let mut machine = watching("40");
        assert_eq!(machine.error_event(&status(429, "")), Pause::Backoff(Some(Duration::from_secs(7))));
        assert_eq!(machine.ask(), watch("40"));
    }

    #[test]
    fn trouble_watches_again_and_lists_after_three_in_a_row() {
        let mut machine = watching("40");
        assert_eq!(machine.error_event(&status(500, "")), SOON);
        assert_eq!(machine.failed(Failure::Trouble), SOON);
        assert_eq!(machine.ask(), watch("40"));
        assert_eq!(machine.failed(Failure::Trouble), SOON);
        assert_eq!(machine.ask(), stream(None));
    }

    #[test]
    fn a_server_that_is_away_for_however_long_is_asked_for_what_was_missed_and_not_for_everything() {
        let mut machine = watching("40");
        for _ in 0..99 {
            assert_eq!(machine.failed(Failure::Unreachable), SOON);
            let broken = StreamStats { lasted: Duration::from_millis(10), moved: false, events: 0 };
            assert_eq!(machine.ended(Ending::Broken, broken), SOON);
        }
        assert_eq!(machine.ask(), watch("40"));
    }

    #[test]
    fn an_event_in_between_ends_the_row() {
        let mut machine = watching("40");
        for version in ["41", "42", "43", "44"] {
            machine.failed(Failure::Trouble);
            machine.failed(Failure::Trouble);
            machine.advance(&version.into()).unwrap();
        }
        assert_eq!(machine.ask(), watch("44"));
    }

    #[test]
    fn what_only_people_can_fix_is_asked_for_again_slowly_and_in_the_same_way() {
        for mut machine in [Machine::new(), listing(), watching("40")] {
            let ask = machine.ask();
            for _ in 0..9 {
                assert_eq!(machine.failed(Failure::Unavailable), SOON);
            }
            assert_eq!(machine.ask(), ask);
        }
        for code in [401, 403, 404] {
            assert_eq!(Failure::answered(&status(code, ""), None), Failure::Unavailable);
        }
    }

    #[test]
    fn a_silent_watch_is_opened_again_and_after_three_the_state_is_listed() {
        let mut machine = watching("999");
        assert_eq!(machine.ended(Ending::Stalled, SILENT), Pause::None);
        assert_eq!(machine.ask(), watch("999"));
        machine.ended(Ending::Stalled, SILENT);
        machine.ended(Ending::Stalled, SILENT);
        assert_eq!(machine.ask(), stream(None));
    }

    #[test]
    fn a_version_that_goes_backwards_lists_the_newest_state() {
        let mut machine = watching("1000");
        assert_eq!(machine.advance(&"999".into()), Err(WentBackwards));
        assert_eq!(machine.ask(), stream(None));
    }

    #[test]
    fn an_unreadable_line_lists_again_and_not_at_once() {
        let mut machine = watching("40");
        assert_eq!(machine.ended(Ending::Unreadable, LONG_AND_BUSY), SOON);
        assert_eq!(machine.ask(), stream(Some("40")));
        assert_eq!(machine.ended(Ending::Unreadable, LONG_AND_BUSY), SOON);
        assert_eq!(machine.ask(), list(500, Some("40"), None), "a list can pass over it");
    }

    #[test]
    fn a_short_watch_of_nothing_but_bookmarks_backs_off_though_the_version_moved() {
        let mut machine = watching("40");
        machine.advance(&"41".into()).unwrap();
        let bookmarks = StreamStats { lasted: Duration::from_millis(10), moved: true, events: 0 };
        assert_eq!(machine.ended(Ending::Clean, bookmarks), SOON);
        assert_eq!(machine.ended(Ending::Clean, StreamStats { events: 1, ..bookmarks }), Pause::None);
        assert_eq!(machine.ended(Ending::Clean, StreamStats { lasted: SHORT, ..bookmarks }), Pause::None);
        assert_eq!(machine.ask(), watch("41"));
    }

    /// While objects change it is never silent, and in a busy cluster they always do.
    #[test]
    fn a_streaming_list_whose_time_ends_without_its_bookmark_becomes_a_list_this_time() {
        let mut machine = Machine::new();
        assert_eq!(machine.ended(Ending::Clean, LONG_AND_BUSY), Pause::None);
        assert_eq!(machine.ask(), list(500, Some("0"), None));
        let mut machine = Machine::new();
        assert_eq!(machine.ended(Ending::Clean, StreamStats::default()), SOON, "but not in a hot loop");
        let mut machine = Machine::new();
        assert_eq!(machine.ended(Ending::Clean, StreamStats { lasted: SHORT, ..StreamStats::default() }), Pause::None);
    }

    /// What the server has in its cache may be older than what the leader before has written.
    #[test]
    fn whoever_begins_to_act_asks_for_the_newest_state_whatever_is_known_already() {
        for (mut machine, reason) in [(watching("40"), Reason::Takeover), (Machine::new(), Reason::Initial)] {
            machine.refresh();
            assert_eq!((machine.ask(), machine.reason()), (stream(None), reason));
            machine.failed(Failure::Unsupported);
            assert_eq!(machine.ask(), list(500, None, None));
        }
    }

    #[test]
    fn what_went_backwards_is_not_asked_for_in_pages_by_the_old_version_either() {
        let mut machine = watching("1000");
        machine.advance(&"999".into()).unwrap_err();
        machine.ended(Ending::Stalled, SILENT);
        assert_eq!(machine.ask(), list(500, None, None));
        let mut machine = watching("1000");
        machine.advance(&"999".into()).unwrap_err();
        machine.failed(Failure::Unsupported);
        assert_eq!(machine.ask(), list(500, None, None));
    }

    #[test]
    fn a_whole_state_that_is_older_than_was_asked_for_is_not_believed() {
        let mut machine = watching("40");
        machine.failed(Failure::Gone);
        assert_eq!(machine.ask(), stream(Some("40")));
        assert_eq!(machine.complete("8".into()), Err(WentBackwards));
        assert_eq!((machine.ask(), machine.reason()), (stream(None), Reason::WentBackwards));
        assert_eq!(machine.complete("8".into()), Ok(()), "now it is what was asked for");

        let mut machine = listing();
        machine.page(page("40", "")).unwrap();
        machine.failed(Failure::Gone);
        assert_eq!(machine.page(page("8", "")), Err(WentBackwards));
        assert_eq!(machine.ask(), list(500, None, None));
    }

    #[test]
    fn a_server_that_wants_to_be_left_alone_for_a_day_is_asked_before() {
        let patience = |seconds| Failure::answered(&status(429, ""), Some(Duration::from_secs(seconds)));
        assert_eq!(patience(7), Failure::Busy(Some(Duration::from_secs(7))));
        assert_eq!(patience(86_400), Failure::Busy(Some(Duration::from_secs(300))));
    }
}
