//! A check of a server that answers anything.
//!
//! The input is the server's part in a play: its answers, which it gives one after the other, and then again from the
//! beginning. Each begins with a line of its status, media type, session and challenge, as far as there are any; `"ID"` in its body
//! becomes the id of the request.
//!
//! ```text
//! 200 application/json session-1
//! {"jsonrpc":"2.0","id":"ID","result":{"protocolVersion":"2025-06-18"}}
//! ~~~
//! 202
//! ```

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smooth_operator::mcp::{Claim, Era, Facts, Played, Target, Verdict, rehearse};

use super::chunks::cuttings;
use super::json::turned;

/// Two eras of at most three requests, 64 pages of tools, and the end of the sessions; and then some.
const MOST_REQUESTS: usize = 80;
/// A few requests are listed, with a few claims each.
const LONGEST_MESSAGE: usize = 4096;
/// So much of all answers is read.
const TIGHT: usize = 512;

/// One answer of the play.
struct Line {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

/// Whatever a server answers, the check ends, its verdict is one short line, and neither the pieces in which the answers
/// arrive nor the order of keys in them makes a difference.
pub fn holds(bytes: &[u8]) {
    let play = read(&String::from_utf8_lossy(bytes));
    let other: Option<Vec<Line>> = play.iter().map(Line::turned).collect();
    for remembered in [None, Some(Era::Modern), Some(Era::Legacy), Some(Era::Deprecated)] {
        let [whole, single, uneven] = [0, 1, 2].map(|cutting| perform(&play, usize::MAX, remembered, cutting));
        sound(&whole);
        assert_eq!(whole, single);
        assert_eq!(whole, uneven);
        sound(&perform(&play, TIGHT, remembered, 2));
        if let Some(other) = &other {
            assert_eq!(tools(&perform(other, usize::MAX, remembered, 0)), tools(&whole));
        }
    }
}

fn read(play: &str) -> Vec<Line> {
    play.split("\n~~~\n").map(Line::read).collect()
}

impl Line {
    fn read(text: &str) -> Self {
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let mut words = first.split(' ');
        let status = words.next().and_then(|word| word.parse().ok()).unwrap_or(StatusCode::OK);
        let mut headers = HeaderMap::new();
        for name in ["content-type", "mcp-session-id", "www-authenticate"].map(HeaderName::from_static) {
            headers.extend(words.next().and_then(|word| Some((name, HeaderValue::from_str(word).ok()?))));
        }
        Self { status, headers, body: body.to_owned() }
    }

    /// The same answer in another order of keys, which only JSON has.
    fn turned(&self) -> Option<Self> {
        Some(Self { status: self.status, headers: self.headers.clone(), body: turned(&self.body)? })
    }
}

fn perform(play: &[Line], bytes: usize, remembered: Option<Era>, cutting: usize) -> Verdict {
    let target = Target::new(([10, 0, 0, 1], 8080).into(), "web.prod.svc:8080", "/mcp").expect("a target");
    let mut asked = 0;
    rehearse(&target, bytes, remembered, |_, id| {
        let Line { status, headers, body } = &play[asked % play.len()];
        asked += 1;
        assert!(asked <= MOST_REQUESTS, "the check goes on for ever");
        let body = body.replace(r#""ID""#, &id.to_string());
        let pieces = cuttings(body.as_bytes())[cutting].iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        Some(Played { status: *status, headers: headers.clone(), body: pieces })
    })
}

/// What is shown of a verdict is short, and a line of its own.
fn sound(verdict: &Verdict) {
    let text = verdict.to_string();
    assert!(text.len() <= LONGEST_MESSAGE, "{} bytes of verdict", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let Verdict::Verified(facts) = verdict else { return };
    let Facts { era: _, name, version, protocol_versions, session_mode: _, capabilities, tools, ttl: _ } = &**facts;
    assert!(capabilities.len() <= 16 && (1..=16).contains(&protocol_versions.len()));
    for claim in name.iter().chain(version).chain(protocol_versions).chain(capabilities) {
        assert!(claim.as_str().chars().count() <= Claim::LONGEST);
    }
    let digits = |hash: &str| hash.len() == 64 && hash.chars().all(|digit| digit.is_ascii_hexdigit());
    assert!(tools.as_ref().is_none_or(|tools| digits(&tools.hash)));
}

/// Whether it speaks MCP, and the digest of the tools that it shows.
fn tools(verdict: &Verdict) -> (bool, Option<&str>) {
    match verdict {
        Verdict::Verified(facts) => (true, facts.tools.as_ref().map(|tools| &*tools.hash)),
        Verdict::Failed { .. } => (false, None),
    }
}
