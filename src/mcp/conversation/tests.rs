//! The course of a check, played with answers as text. Each test reads: what was asked, what was answered, what came of it.

use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Value, json};

use super::super::answer::{Head, Reader};
use super::*;

/// An answer of a server that plays a part.
#[derive(Debug)]
struct Said {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

fn said(status: u16, media: &'static str, body: impl Into<String>) -> Said {
    Said { status, headers: vec![("content-type", media)], body: body.into() }
}

fn html(status: u16) -> Said {
    said(status, "text/html", "<html>")
}

fn empty(status: u16) -> Said {
    Said { status, headers: Vec::new(), body: String::new() }
}

/// `id` is filled in.
fn json(status: u16, body: &Value) -> Said {
    said(status, "application/json", body.to_string())
}

fn result(result: &Value) -> Said {
    json(200, &json!({"jsonrpc": "2.0", "id": "ID", "result": result}))
}

fn error(status: u16, code: i64, data: &Value) -> Said {
    json(status, &json!({"jsonrpc": "2.0", "id": "ID", "error": {"code": code, "message": "no", "data": data}}))
}

fn discovered(versions: &[&str]) -> Said {
    result(&json!({"supportedVersions": versions, "capabilities": {"tools": {}}, "ttlMs": 9000,
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "x", "version": "1"}}}))
}

fn initialized(version: &str) -> Said {
    result(
        &json!({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}),
    )
}

fn tools(names: &[&str], next: Option<&str>) -> Said {
    let tools: Vec<Value> = names.iter().map(|name| json!({"name": name, "inputSchema": {}})).collect();
    let mut page = json!({"tools": tools});
    if let Some(next) = next {
        page["nextCursor"] = next.into();
    }
    result(&page)
}

impl Said {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn answer(self, conversation: &Conversation) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let head = Head::new(StatusCode::from_u16(self.status).unwrap(), &headers);
        let id = conversation.id();
        let mut reader = Reader::new(&head, conversation.ask().expects(id));
        let mut left = usize::MAX;
        reader.feed(self.body.replace(r#""ID""#, &id.to_string()).as_bytes(), &mut left).unwrap();
        Answer { head, body: reader.finish() }
    }
}

/// Plays the answers to their end: which requests were sent, and the verdict.
fn play(remembered: Option<Era>, answers: Vec<Said>) -> (Vec<String>, Verdict) {
    let mut conversation = Conversation::new(remembered);
    let mut asked = Vec::new();
    for answer in answers {
        asked.push(line(&conversation));
        let answer = answer.answer(&conversation);
        match conversation.heard(&answer) {
            Turn::Ask(next) => conversation = next,
            Turn::Over(verdict) => return (asked, verdict),
        }
    }
    panic!("no verdict after {asked:?}, but {}", line(&conversation));
}

fn line(conversation: &Conversation) -> String {
    let ask = conversation.ask();
    let manner = |manner: &Manner| match manner {
        Manner::Modern => String::new(),
        Manner::Legacy { version, session } => {
            format!(
                " {version}{}",
                session.as_ref().map_or(String::new(), |id| format!(" in {}", id.to_str().unwrap()))
            )
        }
    };
    let more = match &ask {
        Ask::Discover | Ask::Stream => String::new(),
        Ask::Initialize(version) => format!(" {version}"),
        Ask::Initialized(asked) | Ask::EndSession(asked) => manner(asked),
        Ask::ListTools(asked, cursor) => format!("{} {}", manner(asked), cursor.as_deref().unwrap_or("first")),
    };
    format!("{}{more}", ask.name())
}

fn facts_of(verdict: Verdict) -> Facts {
    match verdict {
        Verdict::Verified(facts) => *facts,
        Verdict::Failed { .. } => panic!("{verdict}"),
    }
}

#[test]
fn a_modern_server_is_asked_twice_and_opens_nothing() {
    let versions = ["2099-01-01", "2026-07-28", "2025-11-25"];
    let (asked, verdict) = play(None, vec![discovered(&versions), tools(&["a", "b"], None)]);
    assert_eq!(asked, ["server/discover", "tools/list first"]);
    assert_eq!(verdict.to_string(), "Verified: speaks MCP 2099-01-01, 2026-07-28, 2025-11-25, as x 1, with 2 tools");
    let facts = facts_of(verdict);
    assert_eq!((facts.era, facts.session_mode), (Era::Modern, SessionMode::Stateless));
    assert_eq!(facts.ttl, Some(std::time::Duration::from_secs(9)));
    assert_eq!(facts.capabilities, [Claim::new("tools")]);
}

#[test]
fn a_legacy_server_with_a_session_is_left_in_order() {
    let answers = vec![
        json(
            400,
            &json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "Mcp-Session-Id is required"}}),
        ),
        initialized("2025-06-18").with("mcp-session-id", "s-1"),
        empty(202),
        tools(&["a", "b"], Some("p2")),
        tools(&["c"], None),
        empty(405),
    ];
    let (asked, verdict) = play(None, answers);
    let session = "2025-06-18 in s-1";
    assert_eq!(
        asked,
        [
            "server/discover".to_owned(),
            "initialize 2025-11-25".to_owned(),
            format!("notifications/initialized {session}"),
            format!("tools/list {session} first"),
            format!("tools/list {session} p2"),
            format!("DELETE {session}"),
        ]
    );
    let facts = facts_of(verdict);
    assert_eq!((facts.era, facts.session_mode), (Era::Legacy, SessionMode::Stateful));
    assert_eq!(facts.protocol_versions, [Claim::new("2025-06-18")]);
    assert_eq!(facts.tools.unwrap().count, 3);
}

/// A kit that many servers are built with opens a session for each request that names none, and then refuses it. With
/// one check a minute such a server had 1,440 of them a day.
#[test]
fn a_session_that_comes_with_a_refusal_is_ended_before_anything_else() {
    let refusal = |id| html(400).with("mcp-session-id", id);
    let answers = vec![
        refusal("s-1"),
        empty(500),
        initialized("2025-06-18").with("mcp-session-id", "s-2"),
        empty(202),
        tools(&[], None),
        empty(200),
    ];
    let (asked, verdict) = play(None, answers);
    let line = "server/discover; DELETE 2025-03-26 in s-1; initialize 2025-11-25; \
                notifications/initialized 2025-06-18 in s-2; tools/list 2025-06-18 in s-2 first; DELETE 2025-06-18 in s-2";
    assert_eq!(asked.join("; "), line);
    assert_eq!(facts_of(verdict).session_mode, SessionMode::Stateful);
    let (asked, _) =
        play(Some(Era::Legacy), vec![refusal("s-1"), empty(200), empty(401).with("mcp-session-id", "s-2"), empty(401)]);
    let line = "initialize 2025-11-25; DELETE 2025-03-26 in s-1; server/discover; DELETE 2025-03-26 in s-2";
    assert_eq!(asked.join("; "), line);
}

#[test]
fn every_way_to_not_know_discover_leads_to_initialize() {
    let unknown = [
        html(404),
        html(400),
        empty(422),
        html(500),
        error(200, -32601, &Value::Null),
        error(404, -32601, &Value::Null),
        said(400, "application/json", "not even JSON"),
    ];
    for answer in unknown {
        let what = answer.status;
        let (asked, verdict) = play(None, vec![answer, initialized("2025-03-26"), empty(202), tools(&[], None)]);
        assert_eq!(asked[1], "initialize 2025-11-25", "{what}");
        assert_eq!(facts_of(verdict).session_mode, SessionMode::Stateless);
    }
}

#[test]
fn a_version_that_is_listed_is_tried_next() {
    for listing in [
        discovered(&["2025-06-18", "2025-03-26"]),
        error(
            400,
            -32022,
            &json!({"supported": ["2024-11-05", "2025-03-26", "2025-06-18"], "requested": "2026-07-28"}),
        ),
    ] {
        let (asked, _) = play(None, vec![listing, initialized("2025-06-18"), empty(202), tools(&[], None)]);
        assert_eq!(asked[1], "initialize 2025-06-18", "the newest that both know");
    }
}

#[test]
fn versions_that_nobody_knows_are_unsupported_and_named() {
    for listing in [discovered(&["2099-01-01"]), error(400, -32022, &json!({"supported": ["2099-01-01"]}))] {
        let (_, verdict) = play(None, vec![listing]);
        let expected = "UnsupportedVersion: server/discover: supports 2099-01-01; this operator speaks 2026-07-28, \
                        2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05";
        assert_eq!(verdict.to_string(), expected);
    }
    // It lists the very version that it refuses: asking again would never end.
    let (_, verdict) = play(None, vec![error(400, -32022, &json!({"supported": ["2026-07-28"]}))]);
    assert!(verdict.to_string().starts_with("UnsupportedVersion: "), "{verdict}");
    let answers = vec![html(404), initialized("1999-01-01").with("mcp-session-id", "s"), empty(200)];
    let (asked, verdict) = play(None, answers);
    assert_eq!(asked[2], "DELETE 2025-03-26 in s", "it has opened a session all the same");
    assert!(verdict.to_string().contains("initialize: wants 1999-01-01; this operator speaks"), "{verdict}");
}

#[test]
fn a_server_that_wants_an_abler_client_has_understood_and_is_verified() {
    let missing = || error(400, -32021, &json!({"requiredCapabilities": {"elicitation": {}}}));
    let (_, verdict) = play(None, vec![missing()]);
    assert_eq!(verdict.to_string(), "Verified: speaks MCP 2026-07-28");
    let (_, verdict) = play(None, vec![discovered(&["2026-07-28"]), missing()]);
    assert_eq!(facts_of(verdict).tools, None, "unknown, which is not none");
}

#[test]
fn a_server_without_tools_is_not_asked_for_them_and_has_an_empty_list() {
    let (asked, verdict) = play(None, vec![result(&json!({"supportedVersions": ["2026-07-28"], "capabilities": {}}))]);
    assert_eq!(asked.len(), 1);
    assert_eq!(facts_of(verdict).tools, Some(Tools::default().digest()));
}

#[test]
fn the_deprecated_transport_is_recognized_by_its_endpoint() {
    for refusal in [400, 404, 405] {
        let stream = said(200, "text/event-stream", "event: endpoint\ndata: http://169.254.169.254/\n\n");
        let (asked, verdict) = play(None, vec![html(refusal), html(refusal), stream]);
        assert_eq!(asked, ["server/discover", "initialize 2025-11-25", "GET"], "and the endpoint is not visited");
        let facts = facts_of(verdict);
        assert_eq!((facts.era, facts.session_mode, facts.tools), (Era::Deprecated, SessionMode::Stateful, None));
    }
}

#[test]
fn what_is_no_mcp_is_named_as_it_was_seen() {
    let not_mcp = |answers| play(None, answers).1.to_string();
    assert_eq!(
        not_mcp(vec![html(200)]),
        "NotMCP: server/discover: 200 OK (text/html): neither JSON nor an event stream"
    );
    assert_eq!(
        not_mcp(vec![html(405), html(405), html(200)]),
        "NotMCP: server/discover: 405 Method Not Allowed (text/html); initialize: 405 Method Not Allowed (text/html); \
         GET: 200 OK (text/html), without an endpoint event"
    );
    assert_eq!(
        not_mcp(vec![html(500), html(500)]),
        "NotMCP: server/discover: 500 Internal Server Error (text/html); initialize: 500 Internal Server Error (text/html): \
         neither JSON nor an event stream"
    );
    assert_eq!(
        not_mcp(vec![empty(307).with("location", "/login")]),
        "NotMCP: server/discover: 307 Temporary Redirect to /login, which is not followed: neither JSON nor an event stream"
    );
    assert_eq!(
        not_mcp(vec![json(200, &json!({"status": "ok"}))]),
        "NotMCP: server/discover: 200 OK (application/json): this JSON is no JSON-RPC"
    );
    assert_eq!(not_mcp(vec![result(&json!({}))]), "NotMCP: server/discover: a result without supportedVersions");
    assert_eq!(not_mcp(vec![error(400, -32020, &Value::Null)]), "NotMCP: server/discover: error -32020 (no)");
    assert_eq!(
        not_mcp(vec![error(200, -32601, &Value::Null), error(200, -32603, &Value::Null)]),
        "NotMCP: server/discover: 200 OK with error -32601 (no); initialize: 200 OK with error -32603 (no)"
    );
}

#[test]
fn a_server_that_wants_to_know_who_asks_is_not_asked_further() {
    let (asked, verdict) = play(None, vec![empty(401)]);
    assert_eq!(asked.len(), 1);
    assert_eq!(verdict.to_string(), "AuthenticationRequired: server/discover was answered with 401 Unauthorized");
    let answers =
        vec![html(404), initialized("2025-11-25").with("mcp-session-id", "s"), empty(202), empty(401), empty(200)];
    let (asked, verdict) = play(None, answers);
    assert_eq!(asked.last().unwrap(), "DELETE 2025-11-25 in s", "some ask for a login only later");
    assert!(verdict.to_string().starts_with("AuthenticationRequired: tools/list"), "{verdict}");
    let (_, verdict) = play(None, vec![html(403), html(403)]);
    assert!(verdict.to_string().starts_with("NotMCP: "), "403 without a challenge is a refusal: {verdict}");
}

#[test]
fn a_remembered_era_goes_first_and_when_refused_the_check_starts_over() {
    let (asked, _) = play(Some(Era::Legacy), vec![initialized("2025-11-25"), empty(202), tools(&[], None)]);
    assert_eq!(asked[0], "initialize 2025-11-25");
    for refusal in
        [html(404), html(200), error(400, -32022, &json!({"supported": ["2026-07-28"]})), error(200, -32601, &json!(1))]
    {
        let (asked, verdict) = play(Some(Era::Legacy), vec![refusal, discovered(&["2026-07-28"]), tools(&["a"], None)]);
        assert_eq!(asked, ["initialize 2025-11-25", "server/discover", "tools/list first"]);
        assert_eq!(facts_of(verdict).era, Era::Modern);
    }
    let (asked, verdict) = play(Some(Era::Deprecated), vec![html(404), html(404), html(404), html(404)]);
    assert_eq!(asked, ["GET", "server/discover", "initialize 2025-11-25", "GET"], "once, and not for ever");
    assert!(!verdict.to_string().contains("GET: 404 Not Found (text/html); server/discover"), "{verdict}");
}

#[test]
fn pages_have_an_end_even_if_the_server_sees_none() {
    let mut answers = vec![html(404), initialized("2025-11-25").with("mcp-session-id", "s"), empty(202)];
    answers.extend((0..MOST_PAGES).map(|page| tools(&["a"], Some(if page % 2 == 0 { "x" } else { "y" }))));
    answers.push(empty(200));
    let (asked, verdict) = play(None, answers);
    assert_eq!(asked.last().unwrap(), "DELETE 2025-11-25 in s");
    assert_eq!(verdict.to_string(), "NotMCP: tools/list: more than 64 pages");
}

#[test]
fn whatever_goes_wrong_within_a_session_the_session_is_ended() {
    let open = || vec![html(404), initialized("2025-11-25").with("mcp-session-id", "s")];
    for wrong in [vec![html(400)], vec![empty(202), html(404)], vec![empty(202), result(&json!({"tools": [1]}))]] {
        let mut answers = open();
        answers.extend(wrong);
        answers.push(html(500));
        let (asked, verdict) = play(None, answers);
        assert_eq!(asked.last().unwrap(), "DELETE 2025-11-25 in s");
        assert!(verdict.to_string().starts_with("NotMCP: "), "{verdict}");
    }
}

#[test]
fn silence_within_a_session_ends_it_and_silence_after_that_ends_the_check() {
    let mut conversation = Conversation::new(Some(Era::Legacy));
    for answer in [initialized("2025-11-25").with("mcp-session-id", "s"), empty(202)] {
        let answer = answer.answer(&conversation);
        let Turn::Ask(next) = conversation.heard(&answer) else { panic!("too soon") };
        assert!(next.has_to_leave());
        conversation = next;
    }
    let Turn::Ask(leaving) = conversation.failed(Failure::NoAnswer("no answer within 4s".to_owned())) else {
        panic!("the session is left open")
    };
    assert_eq!(line(&leaving), "DELETE 2025-11-25 in s");
    assert!(!leaving.has_to_leave(), "now it may use up the time");
    let Turn::Over(verdict) = leaving.failed(Failure::NoAnswer("nothing".to_owned())) else { panic!("once more?") };
    assert_eq!(verdict.to_string(), "Unreachable: tools/list: no answer within 4s");
}

#[test]
fn what_breaks_is_unreachable_and_what_is_no_http_is_no_mcp() {
    let verdict = |remembered, failure| match Conversation::new(remembered).failed(failure) {
        Turn::Over(verdict) => verdict.to_string(),
        Turn::Ask(next) => panic!("{next:?}"),
    };
    let refused = || Failure::NoAnswer("connection refused".to_owned());
    assert_eq!(verdict(None, refused()), "Unreachable: server/discover: connection refused");
    assert_eq!(verdict(Some(Era::Deprecated), refused()), "Unreachable: GET: connection refused");
    assert_eq!(verdict(None, Failure::Incomplete("late".to_owned())), "Unreachable: server/discover: late");
    assert_eq!(verdict(Some(Era::Deprecated), Failure::Incomplete("late".to_owned())), "NotMCP: GET: late");
    assert_eq!(verdict(None, Failure::NotHttp("noise".to_owned())), "NotMCP: server/discover: noise");
}

mod any_server {
    use proptest::prelude::*;

    use super::*;

    fn any_answer() -> impl Strategy<Value = Said> {
        let status = prop::sample::select(vec![200, 202, 204, 301, 400, 401, 403, 404, 405, 422, 500, 503]);
        let body = prop_oneof![
            Just(discovered(&["2026-07-28"]).body),
            Just(discovered(&["2025-06-18"]).body),
            Just(initialized("2025-11-25").body),
            Just(initialized("0").body),
            Just(tools(&["a"], Some("b")).body),
            Just(tools(&["a"], None).body),
            prop::sample::select(vec![-32020, -32021, -32022, -32601]).prop_map(|code| error(
                200,
                code,
                &json!({"supported": ["2025-03-26"]})
            )
            .body),
            Just("{}".to_owned()),
        ];
        let media = prop::sample::select(vec!["application/json", "text/event-stream", "text/html"]);
        (status, body, media, any::<bool>()).prop_map(|(status, body, media, session)| {
            let body = if media == "text/event-stream" {
                format!("event: endpoint\ndata: /m\n\ndata: {body}\n\n")
            } else {
                body
            };
            let said = said(status, media, body);
            if session { said.with("mcp-session-id", "s") } else { said }
        })
    }

    proptest! {
        /// However a server behaves, the check ends, and what it has opened is closed.
        #[test]
        fn the_course_is_finite_and_leaves_no_session(
            answers in prop::collection::vec(any_answer(), 100),
            remembered in prop::sample::select(vec![None, Some(Era::Modern), Some(Era::Legacy), Some(Era::Deprecated)]),
        ) {
            let (asked, _) = play(remembered, answers);
            prop_assert!(asked.len() < 90);
            // Every answer to the first requests may have opened one.
            let ends = |line: &&String| line.starts_with("DELETE");
            let in_session = asked.iter().filter(|line| line.starts_with("notifications") && line.ends_with(" in s"));
            prop_assert!(asked.iter().filter(ends).count() >= in_session.count(), "{:?}", asked);
            let mut open = false;
            for line in &asked {
                open = !line.starts_with("DELETE") && (open || line.ends_with(" in s") || line.contains(" in s "));
            }
            prop_assert!(!open, "{:?}", asked);
        }
    }
}
