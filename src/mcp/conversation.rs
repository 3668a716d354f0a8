//! The course of a check, as a state machine: an answer goes in, the next request or the verdict comes out.
//!
//! Each state is the request that is to be sent, with what must be remembered until its answer. The picture is in the
//! [chapter](super). Two rules hold in all states:
//!
//! - Whatever the verdict is, a session that was opened is ended first; also one that came with a refusal.
//! - The course is finite: each state leads only to later ones, pages are counted, and starting over happens once.

use super::answer::{Answer, Body, Failure, Reply, RpcError, read};
use super::request::{Ask, Manner};
use super::results::{Capabilities, Discovered, Info, Initialized, Supported, Versions};
use super::tools::{Page, Tools};
use super::{Claim, DEPRECATED, Era, Facts, LEGACY, MODERN, Reason, SessionMode, Verdict};

/// How many pages of tools are read. Whoever has more has no end.
const MOST_PAGES: u32 = 64;

/// Without an agreement, a session is ended in the version that servers assume when none is named.
const FIRST_WITH_SESSIONS: &str = LEGACY[2];

/// Errors that only servers of 2026-07-28 know.
const HEADER_MISMATCH: i64 = -32020;
const MISSING_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;

/// A check under way.
#[derive(Debug)]
pub(super) struct Conversation {
    state: State,
    /// The id of the current request.
    id: u64,
    /// It began with an era from memory. If that is refused at once, it starts over without.
    remembered: bool,
    /// What the requests before were answered with, for the message.
    seen: Vec<String>,
}

#[derive(Debug)]
enum State {
    Discover,
    Initialize(&'static str),
    Stream,
    /// The facts are as `initialize` told them.
    Confirm {
        manner: Manner,
        facts: Box<Facts>,
        has_tools: bool,
    },
    List {
        manner: Manner,
        facts: Box<Facts>,
        tools: Tools,
        cursor: Option<String>,
    },
    Leave {
        manner: Manner,
        verdict: Verdict,
    },
    /// A session that came with a refusal: some servers open one for every request that names none, before they look
    /// at it.
    Dismiss {
        manner: Manner,
        then: Box<Turn>,
    },
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Turn {
    Ask(Conversation),
    Over(Verdict),
}

impl Turn {
    /// Whether the next request belongs to a session.
    fn is_in_session(&self) -> bool {
        match self {
            Self::Ask(next) => match &next.state {
                State::Confirm { manner, .. } | State::List { manner, .. } | State::Leave { manner, .. } => {
                    manner.has_session()
                }
                State::Discover | State::Initialize(_) | State::Stream | State::Dismiss { .. } => false,
            },
            Self::Over(_) => false,
        }
    }

    fn id(&self) -> u64 {
        match self {
            Self::Ask(next) => next.id,
            // No request follows that has one.
            Self::Over(_) => 0,
        }
    }
}

impl Conversation {
    /// `remembered` is the era of the last check.
    pub(super) fn new(remembered: Option<Era>) -> Self {
        let state = match remembered {
            None | Some(Era::Modern) => State::Discover,
            Some(Era::Legacy) => State::Initialize(LEGACY[0]),
            Some(Era::Deprecated) => State::Stream,
        };
        let remembered = !matches!(state, State::Discover);
        Self { state, id: 1, remembered, seen: Vec::new() }
    }

    /// The id of the current request.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The current request.
    pub(super) fn ask(&self) -> Ask {
        match &self.state {
            State::Discover => Ask::Discover,
            State::Initialize(version) => Ask::Initialize(version),
            State::Stream => Ask::Stream,
            State::Confirm { manner, .. } => Ask::Initialized(manner.clone()),
            State::List { manner, cursor, .. } => Ask::ListTools(manner.clone(), cursor.clone()),
            State::Leave { manner, .. } | State::Dismiss { manner, .. } => Ask::EndSession(manner.clone()),
        }
    }

    /// Whether a session is open that has yet to be ended: the check must not use up all its time before.
    pub(super) fn has_to_leave(&self) -> bool {
        match &self.state {
            State::Confirm { manner, .. } | State::List { manner, .. } => manner.has_session(),
            State::Discover | State::Initialize(_) | State::Stream | State::Leave { .. } | State::Dismiss { .. } => {
                false
            }
        }
    }

    /// The current request was answered.
    pub(super) fn heard(self, answer: &Answer) -> Turn {
        let begins = matches!(self.state, State::Discover | State::Initialize(_));
        let turn = self.concluded(answer);
        let session = answer.head.session.clone().filter(|_| begins && !turn.is_in_session());
        let Some(session) = session else { return turn };
        let manner = Manner::Legacy { version: FIRST_WITH_SESSIONS, session: Some(session) };
        let (id, state) = (turn.id(), State::Dismiss { manner, then: Box::new(turn) });
        Turn::Ask(Self { state, id, remembered: false, seen: Vec::new() })
    }

    fn concluded(mut self, answer: &Answer) -> Turn {
        if answer.head.wants_credentials() && !self.is_leaving() {
            let message = format!("{} was answered with {}", self.ask().name(), answer.head);
            return self.end(Verdict::failed(Reason::AuthenticationRequired, message));
        }
        let id = self.id;
        self.id += 1;
        match std::mem::replace(&mut self.state, State::Discover) {
            State::Discover => self.discovered(answer, id),
            State::Initialize(_) => self.initialized(answer, id),
            State::Stream => self.streamed(answer),
            State::Confirm { manner, facts, has_tools } => self.confirmed(answer, manner, facts, has_tools),
            State::List { manner, facts, tools, cursor: _ } => self.listed(answer, id, manner, facts, tools),
            // Whether the server accepts it or not, nothing more can be done.
            State::Leave { manner: _, verdict } => Turn::Over(verdict),
            State::Dismiss { manner: _, then } => *then,
        }
    }

    /// Whether the current request only ends a session: then its answer changes nothing.
    fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leave { .. } | State::Dismiss { .. })
    }

    /// The current request was not answered.
    pub(super) fn failed(mut self, failure: Failure) -> Turn {
        match self.state {
            State::Leave { manner: _, verdict } => return Turn::Over(verdict),
            State::Dismiss { manner: _, then } => return *then,
            State::Discover | State::Initialize(_) | State::Stream | State::Confirm { .. } | State::List { .. } => {}
        }
        let (reason, what) = match failure {
            // A stream that is open and silent. Every other way was refused in HTTP, so the server is not unreachable.
            Failure::Incomplete(what) if matches!(self.state, State::Stream) => (Reason::NotMcp, what),
            Failure::NoAnswer(what) | Failure::Incomplete(what) => (Reason::Unreachable, what),
            Failure::NotHttp(what) => (Reason::NotMcp, what),
        };
        self.seen.push(format!("{}: {what}", self.ask().name()));
        self.give_up(reason)
    }

    fn next(self, state: State) -> Turn {
        Turn::Ask(Self { state, ..self })
    }

    /// Concludes, after the DELETE where there is a session.
    fn end(self, verdict: Verdict) -> Turn {
        match self.state {
            State::Confirm { manner, .. } | State::List { manner, .. } => Self::leave(self.id, manner, verdict),
            State::Discover | State::Initialize(_) | State::Stream | State::Leave { .. } | State::Dismiss { .. } => {
                Turn::Over(verdict)
            }
        }
    }

    fn leave(id: u64, manner: Manner, verdict: Verdict) -> Turn {
        if !manner.has_session() {
            return Turn::Over(verdict);
        }
        Turn::Ask(Self { state: State::Leave { manner, verdict }, id, remembered: false, seen: Vec::new() })
    }

    fn give_up(self, reason: Reason) -> Turn {
        let message = self.seen.join("; ");
        self.end(Verdict::failed(reason, message))
    }

    /// The server speaks no MCP that was tried; but if only the era from memory was tried, it may have become another.
    fn refused(mut self, reason: Reason) -> Turn {
        if std::mem::take(&mut self.remembered) {
            self.seen.clear();
            return self.next(State::Discover);
        }
        self.give_up(reason)
    }

    fn discovered(mut self, answer: &Answer, id: u64) -> Turn {
        let status = answer.head.status;
        match answer.reply(id) {
            Reply::Result(result) => match read::<Discovered>(result) {
                Ok(discovered) if discovered.versions.contain(MODERN) => self.modern(discovered),
                Ok(discovered) => self.another_version("server/discover", &discovered.versions),
                Err(_) => self.wrong("server/discover", "a result without supportedVersions"),
            },
            Reply::Error(error) if error.code == UNSUPPORTED_VERSION => {
                self.another_version("server/discover", &supported(&error))
            }
            // It has understood the question. Claiming a capability that this operator does not have, only to see more,
            // would be a lie.
            Reply::Error(error) if error.code == MISSING_CAPABILITY => Self::verified(facts(Era::Modern, MODERN)),
            Reply::Error(error) if error.code == HEADER_MISMATCH => self.wrong("server/discover", &error.to_string()),
            // The method is unknown to all servers of earlier revisions, and each says so in its own way.
            Reply::Error(error) => {
                self.seen.push(format!("server/discover: {status} with {error}"));
                self.next(State::Initialize(LEGACY[0]))
            }
            Reply::Wrong(_) if status.is_client_error() || status.is_server_error() => {
                self.seen.push(format!("server/discover: {}", answer.head));
                self.next(State::Initialize(LEGACY[0]))
            }
            Reply::Wrong(what) => self.wrong("server/discover", &format!("{}: {what}", answer.head)),
        }
    }

    fn modern(self, discovered: Discovered) -> Turn {
        let (Info { name, version }, ttl) = (discovered.info(), discovered.ttl());
        let Capabilities { names: capabilities, tools } = discovered.capabilities;
        let Versions(protocol_versions) = discovered.versions;
        let facts = Facts { name, version, protocol_versions, capabilities, ttl, ..facts(Era::Modern, MODERN) };
        self.list(Manner::Modern, Box::new(facts), tools)
    }

    /// The server lists versions, and 2026-07-28 can't be spoken with it.
    fn another_version(mut self, method: &str, versions: &Versions) -> Turn {
        if let Some(version) = LEGACY.into_iter().find(|version| versions.contain(version)) {
            self.seen.push(format!("{method}: supports {versions}"));
            return self.next(State::Initialize(version));
        }
        self.seen.push(format!("{method}: supports {versions}; this operator speaks {MODERN}, {}", LEGACY.join(", ")));
        self.refused(Reason::UnsupportedVersion)
    }

    fn initialized(mut self, answer: &Answer, id: u64) -> Turn {
        match answer.reply(id) {
            Reply::Result(result) => match read::<Initialized>(result) {
                Ok(initialized) => self.agreed(initialized, answer),
                Err(_) => self.wrong("initialize", "a result without protocolVersion"),
            },
            Reply::Error(error) if error.code == UNSUPPORTED_VERSION => {
                let versions = supported(&error);
                self.seen.push(format!("initialize: supports {versions}"));
                self.refused(Reason::UnsupportedVersion)
            }
            _ if matches!(answer.head.status.as_u16(), 400 | 404 | 405) && !self.remembered => {
                self.seen.push(format!("initialize: {}", answer.head));
                self.next(State::Stream)
            }
            Reply::Error(error) => self.wrong("initialize", &format!("{} with {error}", answer.head.status)),
            Reply::Wrong(what) => self.wrong("initialize", &format!("{}: {what}", answer.head)),
        }
    }

    fn agreed(mut self, initialized: Initialized, answer: &Answer) -> Turn {
        let Initialized { version: agreed, capabilities, info: Info { name, version } } = initialized;
        let session = answer.head.session.clone();
        let Some(known) = LEGACY.into_iter().find(|known| *known == agreed.as_str()) else {
            self.seen.push(format!("initialize: wants {agreed}; this operator speaks {MODERN}, {}", LEGACY.join(", ")));
            let verdict = Verdict::failed(Reason::UnsupportedVersion, self.seen.join("; "));
            return Self::leave(self.id, Manner::Legacy { version: FIRST_WITH_SESSIONS, session }, verdict);
        };
        // From here on it is known what the server speaks; how it was found out explains nothing any more.
        self.seen.clear();
        let session_mode = if session.is_some() { SessionMode::Stateful } else { SessionMode::Stateless };
        let Capabilities { names: capabilities, tools: has_tools } = capabilities;
        let facts = Facts { name, version, session_mode, capabilities, ..facts(Era::Legacy, known) };
        self.next(State::Confirm {
            manner: Manner::Legacy { version: known, session },
            facts: Box::new(facts),
            has_tools,
        })
    }

    fn streamed(mut self, answer: &Answer) -> Turn {
        if let Body::Endpoint = answer.body {
            let facts = Facts { session_mode: SessionMode::Stateful, ..facts(Era::Deprecated, DEPRECATED) };
            return Self::verified(facts);
        }
        let and = if answer.head.status.is_success() { ", without an endpoint event" } else { "" };
        self.seen.push(format!("GET: {}{and}", answer.head));
        self.refused(Reason::NotMcp)
    }

    fn confirmed(self, answer: &Answer, manner: Manner, facts: Box<Facts>, has_tools: bool) -> Turn {
        if answer.head.status.is_success() {
            return self.list(manner, facts, has_tools);
        }
        let message = format!("notifications/initialized: {}", answer.head);
        Self::leave(self.id, manner, Verdict::failed(Reason::NotMcp, message))
    }

    /// Asks for the first page of tools. A server that offers none has an empty list of them: if it has some one day, that
    /// is a change like any other.
    fn list(self, manner: Manner, mut facts: Box<Facts>, has_tools: bool) -> Turn {
        if has_tools {
            return self.next(State::List { manner, facts, tools: Tools::default(), cursor: None });
        }
        facts.tools = Some(Tools::default().digest());
        Self::leave(self.id, manner, Verdict::Verified(facts))
    }

    fn listed(self, answer: &Answer, id: u64, manner: Manner, mut facts: Box<Facts>, mut tools: Tools) -> Turn {
        let wrong = match answer.reply(id) {
            Reply::Result(result) => match read::<Page>(result) {
                Ok(page) => {
                    let cursor = page.next.clone();
                    tools.add(page);
                    match cursor {
                        Some(_) if tools.pages >= MOST_PAGES => format!("more than {MOST_PAGES} pages"),
                        Some(_) => return self.next(State::List { manner, facts, tools, cursor }),
                        None => {
                            facts.tools = Some(tools.digest());
                            return Self::leave(self.id, manner, Verdict::Verified(facts));
                        }
                    }
                }
                Err(_) => "a result without tools, or one of them without name or inputSchema".to_owned(),
            },
            // As with `server/discover`: the server speaks MCP, and shows its tools to others.
            Reply::Error(error) if error.code == MISSING_CAPABILITY => {
                return Self::leave(self.id, manner, Verdict::Verified(facts));
            }
            Reply::Error(error) => format!("{} with {error}", answer.head.status),
            Reply::Wrong(what) => format!("{}: {what}", answer.head),
        };
        Self::leave(self.id, manner, Verdict::failed(Reason::NotMcp, format!("tools/list: {wrong}")))
    }

    fn verified(facts: Facts) -> Turn {
        Turn::Over(Verdict::Verified(Box::new(facts)))
    }

    fn wrong(mut self, method: &str, what: &str) -> Turn {
        self.seen.push(format!("{method}: {what}"));
        self.refused(Reason::NotMcp)
    }
}

/// The facts about a server of which only this is known.
fn facts(era: Era, version: &str) -> Facts {
    Facts {
        era,
        name: None,
        version: None,
        protocol_versions: vec![Claim::new(version)],
        session_mode: SessionMode::Stateless,
        capabilities: Vec::new(),
        tools: None,
        ttl: None,
    }
}

/// The versions that an error lists.
fn supported(error: &RpcError<'_>) -> Versions {
    let data = error.data.and_then(|data| read::<Supported>(data).ok());
    data.unwrap_or_default().supported
}

#[cfg(test)]
mod tests;
