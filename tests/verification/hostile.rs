//! Servers that break, stall, lie and never end. None of them may cost more than a check's limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smooth_operator::mcp::{Era, Verdict};
use tokio::net::TcpListener;

use super::broken::{Act, Asked, JSON, Server, headed, reply, result};
use super::{LONG, SHORT, check, check_within, facts};

const HTML: (&str, &str) = ("content-type", "text/html");
const SESSION: (&str, &str) = ("mcp-session-id", "s-1");

/// A legacy server with a session, but for the requests that the test answers.
fn legacy(asked: &Asked, other: impl Fn(&Asked) -> Option<Act>) -> Act {
    if let Some(act) = other(asked) {
        return act;
    }
    let in_session = asked.headers.get("mcp-session-id").is_some_and(|id| id == "s-1");
    let capabilities = json!({"tools": {}});
    match asked.method() {
        "initialize" => {
            let version = &asked.body["params"]["protocolVersion"];
            result(
                asked,
                &[SESSION],
                &json!({"protocolVersion": version, "capabilities": capabilities, "serverInfo": {}}),
            )
        }
        _ if !in_session => {
            reply(400, &[JSON], r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}"#)
        }
        "notifications/initialized" => reply(202, &[], ""),
        "tools/list" => result(asked, &[], &json!({"tools": []})),
        _ => reply(200, &[], ""),
    }
}

/// The verdict about a server that does this with every request.
async fn verdict(act: Act) -> String {
    let server = Server::start(move |_| act.clone()).await;
    let verdict = check_within(SHORT, server.address, "/mcp", None).await;
    server.is_left_alone().await;
    verdict.to_string()
}

#[tokio::test]
async fn a_server_of_pages_is_no_mcp_server() {
    let page = "<html>It works.</html>";
    assert_eq!(
        verdict(reply(200, &[HTML], page)).await,
        "NotMCP: server/discover: 200 OK (text/html): neither JSON nor an event stream"
    );
    let seen = "404 Not Found (text/html)";
    let expected = format!("NotMCP: server/discover: {seen}; initialize: {seen}; GET: {seen}");
    assert_eq!(verdict(reply(404, &[HTML], page)).await, expected);
    let files =
        Server::start(move |asked| reply(if asked.line == "GET /mcp" { 200 } else { 405 }, &[HTML], page)).await;
    let seen = "405 Method Not Allowed (text/html)";
    let expected = format!(
        "NotMCP: server/discover: {seen}; initialize: {seen}; GET: 200 OK (text/html), without an endpoint event"
    );
    assert_eq!(check(files.address).await.to_string(), expected);
}

#[tokio::test]
async fn what_is_no_answer_is_called_by_its_name() {
    let json = |body: &str| reply(200, &[JSON], body);
    for (act, expected) in [
        (json(r#"{"status":"ok"}"#), "NotMCP: server/discover: 200 OK (application/json): this JSON is no JSON-RPC"),
        (
            json(r#"{"jsonrpc":"2.0","id":1,"resu"#),
            "NotMCP: server/discover: 200 OK (application/json): the JSON breaks off",
        ),
        (json("\u{0}\u{1}\u{2}"), "NotMCP: server/discover: 200 OK (application/json): this is no JSON"),
        (
            json(r#"{"jsonrpc":"2.0","id":99,"result":{"supportedVersions":["2026-07-28"]}}"#),
            "NotMCP: server/discover: 200 OK (application/json): this answers another request",
        ),
        (
            json(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}"#, "[".repeat(100_000))),
            "NotMCP: server/discover: 200 OK (application/json): the JSON breaks off",
        ),
        (reply(200, &[], "{}"), "NotMCP: server/discover: 200 OK: neither JSON nor an event stream"),
        (reply(204, &[], ""), "NotMCP: server/discover: 204 No Content: neither JSON nor an event stream"),
        (Act::Send(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), "NotMCP: server/discover: this is no HTTP/1.1"),
        (
            Act::Send(headed("application/json", "transfer-encoding: chunked\r\n", "zz\r\nnoise\r\n")),
            "NotMCP: server/discover: the body is no HTTP/1.1",
        ),
        (
            Act::Send(headed("text/event-stream", "content-length: 14\r\n", ": only a word\n")),
            "NotMCP: server/discover: 200 OK (text/event-stream): the event stream ended without an answer",
        ),
    ] {
        assert_eq!(verdict(act).await, expected);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_makes_a_server_unreachable() {
    for (act, expected) in [
        (Act::Send(Vec::new()), "Unreachable: server/discover: the connection was closed without an answer"),
        (
            Act::Send(b"HTTP/1.1 200 O".to_vec()),
            "Unreachable: server/discover: the connection was closed without an answer",
        ),
        (
            Act::Send(headed("application/json", "content-length: 1000\r\n", "{")),
            "Unreachable: server/discover: the answer breaks off",
        ),
        (
            Act::Send(headed("application/json", "transfer-encoding: chunked\r\n", "5\r\n{\"jso")),
            "Unreachable: server/discover: the answer breaks off",
        ),
        (Act::Stay(Vec::new()), "Unreachable: server/discover: no answer within 800ms"),
        (
            Act::Stay(headed("application/json", "", "{")),
            "Unreachable: server/discover: no end of the answer within 800ms",
        ),
    ] {
        assert_eq!(verdict(act).await, expected);
    }
    let reset = verdict(Act::Reset).await;
    assert!(reset.starts_with("Unreachable: server/discover: "), "{reset}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(check(nobody).await.to_string(), "Unreachable: server/discover: connection refused");
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_prolong_the_check() {
    let body = r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#;
    let whole = headed("application/json", &format!("content-length: {}\r\n", body.len()), body);
    let begun = Instant::now();
    let verdict = verdict(Act::Drip(whole)).await;
    assert!(verdict.starts_with("Unreachable: server/discover: no "), "{verdict}");
    assert!(begun.elapsed() < SHORT * 10, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_time_is_one_for_all_requests_of_a_check() {
    let server = Server::start(|asked| {
        let answer = match asked.method() {
            "server/discover" => {
                result(asked, &[], &json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}))
            }
            _ => result(asked, &[], &json!({"tools": [], "nextCursor": "next"})),
        };
        match answer {
            Act::Send(bytes) => Act::Late(bytes),
            other => other,
        }
    })
    .await;
    let verdict = check_within(SHORT, server.address, "/mcp", None).await.to_string();
    assert!(verdict.starts_with("Unreachable: tools/list: no "), "each answer is quick, and there are many: {verdict}");
}

#[tokio::test]
async fn an_answer_without_an_end_ends_after_a_megabyte() {
    for (head, again) in [
        (headed("application/json", "", ""), vec![b' '; 16 << 10]),
        (headed("application/json", "", "{\"a\":\""), vec![b'a'; 16 << 10]),
        (headed("text/event-stream", "", ""), b": still here\n\n".repeat(1000)),
        (headed("text/event-stream", "", "data: "), vec![b'a'; 16 << 10]),
        (headed("text/event-stream", "", ""), b"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n".repeat(400)),
    ] {
        let act = Act::Forever(head, again);
        let server = Server::start(move |_| act.clone()).await;
        let verdict = check(server.address).await;
        assert_eq!(verdict.to_string(), "NotMCP: server/discover: an answer without an end");
        server.is_left_alone().await;
        // The kernel's buffers take a few megabytes more than what was read.
        assert!(server.written() < 20 << 20, "{}", server.written());
    }
}

#[tokio::test]
async fn the_megabyte_is_one_for_all_answers_of_a_check() {
    let long = "x".repeat(300 << 10);
    let server = Server::start(move |asked| match asked.method() {
        "server/discover" => {
            result(asked, &[], &json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "_": long}))
        }
        _ => result(
            asked,
            &[],
            &json!({"tools": [{"name": "a", "description": long, "inputSchema": {}}], "nextCursor": "b"}),
        ),
    })
    .await;
    assert_eq!(check(server.address).await.to_string(), "NotMCP: tools/list: an answer without an end");
    assert_eq!(server.asked().len(), 4, "three of 300 KiB fit, and the fourth does not");
}

#[tokio::test]
async fn headers_without_an_end_are_not_read_to_it() {
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let one = Act::Forever(head.clone(), b"x-noise: ".to_vec().into_iter().chain(vec![b'a'; 16 << 10]).collect());
    assert_eq!(verdict(one).await, "NotMCP: server/discover: headers without an end");
    let many =
        Act::Forever(head, b"x-noise: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100));
    assert_eq!(verdict(many).await, "NotMCP: server/discover: headers without an end");
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let elsewhere = Server::start(|_| reply(200, &[HTML], "")).await;
    let location = format!("http://{}/mcp", elsewhere.address);
    let to = location.clone();
    let server = Server::start(move |_| reply(307, &[("location", &to)], "")).await;
    let verdict = check(server.address).await.to_string();
    assert!(verdict.contains(&format!("307 Temporary Redirect to {location}, which is not followed")), "{verdict}");
    assert_eq!((server.asked().len(), elsewhere.asked().len()), (1, 0));
}

#[tokio::test]
async fn a_login_ends_the_check_wherever_it_is_asked_for() {
    let challenge = ("www-authenticate", "Bearer");
    for (status, headers, reason) in [
        (401, &[][..], "AuthenticationRequired"),
        (401, &[challenge][..], "AuthenticationRequired"),
        (403, &[challenge][..], "AuthenticationRequired"),
        (403, &[][..], "NotMCP"),
    ] {
        let verdict = verdict(reply(status, headers, "")).await;
        assert!(verdict.starts_with(reason), "{verdict}");
    }
    let late =
        Server::start(|asked| legacy(asked, |asked| (asked.method() == "tools/list").then(|| reply(401, &[], ""))))
            .await;
    let verdict = check(late.address).await.to_string();
    assert_eq!(verdict, "AuthenticationRequired: tools/list was answered with 401 Unauthorized");
    assert_eq!(late.methods().last().unwrap(), "DELETE");
}

#[tokio::test]
async fn a_server_that_hangs_within_a_session_is_left_in_order() {
    for hanging in ["notifications/initialized", "tools/list"] {
        let server = Server::start(move |asked| {
            legacy(asked, |asked| (asked.method() == hanging).then(|| Act::Stay(Vec::new())))
        })
        .await;
        let begun = Instant::now();
        let verdict = check_within(SHORT, server.address, "/mcp", None).await.to_string();
        assert!(verdict.starts_with(&format!("Unreachable: {hanging}: no answer within")), "{verdict}");
        assert_eq!(server.methods().last().unwrap(), "DELETE", "{hanging}");
        assert!(begun.elapsed() < SHORT * 5);
    }
    let server =
        Server::start(|asked| legacy(asked, |asked| (asked.line == "DELETE /mcp").then(|| Act::Stay(Vec::new()))))
            .await;
    let verdict = check_within(SHORT, server.address, "/mcp", None).await;
    assert!(matches!(verdict, Verdict::Verified(_)), "the end of a session is a courtesy: {verdict}");
}

#[tokio::test]
async fn a_session_is_named_in_every_request_and_ended() {
    let server = Server::start(|asked| legacy(asked, |_| None)).await;
    assert_eq!(facts(check(server.address).await).tools.unwrap().count, 0);
    let methods = ["server/discover", "initialize", "notifications/initialized", "tools/list", "DELETE"];
    assert_eq!(server.methods(), methods);
    let sessions: Vec<_> = server.asked().iter().map(|asked| asked.headers.contains_key("mcp-session-id")).collect();
    assert_eq!(sessions, [false, false, true, true, true]);
}

/// As a kit does that many servers are built with: whoever names no session gets one, and is refused only then.
#[tokio::test]
async fn sessions_that_nobody_asked_for_are_ended_too() {
    let opened = AtomicUsize::new(0);
    let server = Server::start(move |asked| {
        if asked.headers.contains_key("mcp-session-id") {
            return legacy(asked, |asked| (asked.line == "DELETE /mcp").then(|| reply(200, &[], "")));
        }
        let id = if asked.method() == "initialize" { 1 } else { 100 + opened.fetch_add(1, Ordering::SeqCst) };
        let session = format!("s-{id}");
        match asked.method() {
            "initialize" => legacy(asked, |_| None),
            _ => reply(
                400,
                &[JSON, ("mcp-session-id", &session)],
                r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Missing session ID"}}"#,
            ),
        }
    })
    .await;
    assert_eq!(facts(check(server.address).await).era, Era::Legacy);
    let asked = server.asked();
    let ended = asked.iter().filter(|asked| asked.line == "DELETE /mcp").map(|asked| &*asked.headers["mcp-session-id"]);
    assert_eq!(ended.collect::<Vec<_>>(), ["s-100", "s-1"]);
}

#[tokio::test]
async fn pages_of_tools_without_an_end_have_one() {
    let server = Server::start(|asked| {
        legacy(asked, |asked| {
            let page = json!({"tools": [], "nextCursor": "again"});
            (asked.method() == "tools/list").then(|| result(asked, &[], &page))
        })
    })
    .await;
    assert_eq!(check(server.address).await.to_string(), "NotMCP: tools/list: more than 64 pages");
    assert_eq!(server.methods().last().unwrap(), "DELETE");
}

#[tokio::test]
async fn nothing_is_sent_that_the_protocol_does_not_ask_for() {
    let refusing = Server::start(|_| reply(405, &[], "")).await;
    check(refusing.address).await;
    let speaking = Server::start(|asked| legacy(asked, |_| None)).await;
    check(speaking.address).await;
    let known = [
        "accept",
        "connection",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-protocol-version",
        "mcp-session-id",
    ];
    let asked = [refusing.asked(), speaking.asked()].concat();
    assert_eq!(asked.len(), 8);
    for Asked { line, headers, body } in asked {
        assert!(headers.keys().all(|name| known.contains(&name.as_str())), "{line} {headers:?}");
        assert_eq!(headers["host"], "localhost:8080", "as its clients call it");
        assert!(body == Value::Null || body["jsonrpc"] == "2.0");
    }
}

#[tokio::test]
async fn a_stream_stays_open_after_the_answer_and_nobody_waits_for_it() {
    let event = |asked: &Asked, result: &Value| {
        let message = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": result});
        Act::Stay(headed(
            "text/event-stream",
            "",
            &format!(": hi\r\n\r\nid: 1\r\ndata:\r\n\r\ndata: {message}\r\n\r\n"),
        ))
    };
    let server = Server::start(move |asked| match asked.method() {
        "server/discover" => event(asked, &json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}})),
        _ => event(asked, &json!({"tools": []})),
    })
    .await;
    let begun = Instant::now();
    assert_eq!(facts(check(server.address).await).era, Era::Modern);
    assert!(begun.elapsed() < LONG / 2);
    server.is_left_alone().await;
}

#[tokio::test]
async fn a_stream_that_names_no_endpoint_is_no_proof() {
    let stream = |body: &'static str| {
        move |asked: &Asked| match asked.method() {
            "GET" => Act::Stay(headed("text/event-stream", "", body)),
            _ => reply(405, &[], ""),
        }
    };
    let silent = Server::start(stream(": nothing\n\ndata: endpoint\n\n")).await;
    let verdict = check_within(SHORT, silent.address, "/mcp", None).await.to_string();
    assert!(
        verdict.starts_with("NotMCP: ") && verdict.ends_with("GET: no end of the answer within 800ms"),
        "{verdict}"
    );
    let naming = Server::start(stream("event: endpoint\ndata: /messages?sessionId=1\n\n")).await;
    assert_eq!(facts(check(naming.address).await).era, Era::Deprecated);
    assert_eq!(naming.asked().len(), 3, "the endpoint itself is not asked");
}

#[tokio::test]
async fn what_a_server_says_of_itself_stays_short_and_on_its_line() {
    let name = "nice\r\nlevel=error \u{1b}[31m".to_owned() + &"x".repeat(100_000);
    let server = Server::start(move |asked| {
        let meta = json!({"io.modelcontextprotocol/serverInfo": {"name": name, "version": name}});
        let versions = vec!["2026-07-28"; 1000];
        result(asked, &[], &json!({"supportedVersions": versions, "capabilities": {}, "_meta": meta}))
    })
    .await;
    let verdict = check(server.address).await;
    let line = verdict.to_string();
    assert!(line.chars().count() < 300 && !line.contains(char::is_control), "{line}");
    assert!(facts(verdict).protocol_versions.len() <= 16);
    let error = format!(r#"{{"jsonrpc":"2.0","id":2,"error":{{"code":1,"message":"a\n{}"}}}}"#, "y".repeat(100_000));
    let server = Server::start(move |asked| match asked.method() {
        "server/discover" => reply(404, &[("content-type", &format!("text/{}", "z".repeat(5000)))], ""),
        _ => reply(500, &[JSON], &error),
    })
    .await;
    let line = check(server.address).await.to_string();
    assert!(line.chars().count() < 400 && !line.contains(char::is_control), "{line}");
}

#[tokio::test]
async fn a_check_that_is_given_the_era_asks_only_what_is_needed() {
    let server = Server::start(|asked| legacy(asked, |_| None)).await;
    let verdict = check_within(LONG, server.address, "/mcp", Some(Era::Legacy)).await;
    assert_eq!(facts(verdict).era, Era::Legacy);
    assert_eq!(server.methods()[0], "initialize");
}

/// The test of the tests: a server that is slow, but not too slow, is verified.
#[tokio::test]
async fn a_slow_server_within_the_time_is_verified() {
    let body = r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}"#;
    let whole = headed("application/json", &format!("content-length: {}\r\n", body.len()), body);
    let server = Server::start(move |_| Act::Drip(whole.clone())).await;
    let verdict = check_within(Duration::from_secs(20), server.address, "/mcp", None).await;
    assert_eq!(facts(verdict).era, Era::Modern);
}
