//! A check without a network: a function plays the server.
//!
//! It is the same conversation, and the same reader of the same bytes, as in [`Prober::check`](super::Prober::check).
//! Only the sockets and the clock are missing. So it shows in microseconds what a check would make of a server that
//! answers in a way nobody has thought of, and it always comes to an end, whatever the function answers.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;

use super::answer::{Answer, Failure, Head, Reader};
use super::conversation::{Conversation, Turn};
use super::{Era, Target, Verdict};

/// What the function answers.
#[derive(Debug, Clone)]
pub struct Played {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, in the pieces in which it arrives. Nothing is read after the piece that has what was waited for.
    pub body: Vec<Bytes>,
}

/// What a check would find out about `server`, which is asked each request, with its JSON-RPC id, and answers it; `None`
/// is no answer at all. `bytes` is as in [`Limits`](super::Limits), `remembered` as in
/// [`Prober::check`](super::Prober::check).
pub fn rehearse(
    target: &Target,
    bytes: usize,
    remembered: Option<Era>,
    mut server: impl FnMut(&Request<Full<Bytes>>, u64) -> Option<Played>,
) -> Verdict {
    let mut conversation = Conversation::new(remembered);
    let mut left = bytes;
    loop {
        let (ask, id) = (conversation.ask(), conversation.id());
        let heard = match server(&ask.request(id, target), id) {
            Some(Played { status, headers, body }) => {
                let head = Head::new(status, &headers);
                let reader = Reader::new(&head, ask.expects(id));
                read(reader, &body, &mut left).map(|reader| Answer { head, body: reader.finish() })
            }
            None => Err(Failure::NoAnswer("no answer".to_owned())),
        };
        let turn = match heard {
            Ok(answer) => conversation.heard(&answer),
            Err(failure) => conversation.failed(failure),
        };
        match turn {
            Turn::Ask(next) => conversation = next,
            Turn::Over(verdict) => return verdict,
        }
    }
}

fn read(mut reader: Reader, body: &[Bytes], left: &mut usize) -> Result<Reader, Failure> {
    for chunk in body {
        if reader.is_done() {
            break;
        }
        reader.feed(chunk, left)?;
    }
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::Reason;

    fn target() -> Target {
        Target::new(([10, 0, 0, 1], 8080).into(), "web.prod.svc:8080", "/mcp").unwrap()
    }

    fn json(text: String) -> Played {
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        Played { status: StatusCode::OK, headers, body: vec![text.into()] }
    }

    #[test]
    fn a_server_that_always_has_another_page_of_tools_is_told_off_in_the_end() {
        let mut asked = 0;
        let verdict = rehearse(&target(), 1 << 20, None, |_, id| {
            asked += 1;
            let result =
                r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"tools":[],"nextCursor":"1"}"#;
            Some(json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)))
        });
        let Verdict::Failed { reason: Reason::NotMcp, message } = verdict else { panic!("{verdict}") };
        assert_eq!((message.as_str(), asked), ("tools/list: more than 64 pages", 65));
    }

    #[test]
    fn all_answers_together_are_not_longer_than_the_limit() {
        let verdict = rehearse(&target(), 1024, None, |_, _| Some(json(" ".repeat(1025))));
        assert_eq!(verdict.to_string(), "NotMCP: server/discover: an answer without an end");
    }

    #[test]
    fn a_server_that_says_nothing_is_unreachable() {
        let verdict = rehearse(&target(), 1024, None, |_, _| None);
        assert!(matches!(verdict, Verdict::Failed { reason: Reason::Unreachable, .. }), "{verdict}");
    }
}
