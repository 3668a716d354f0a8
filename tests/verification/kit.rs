//! Servers of rmcp, the Model Context Protocol's own kit for Rust: what others build is what is to be verified.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::model::{
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use smooth_operator::mcp::{Claim, Era, SessionMode, Verdict};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::{LONG, check, check_within, facts};

/// A server with three tools, on two pages.
#[derive(Clone)]
struct Three {
    versions: &'static [ProtocolVersion],
}

const MODERN: &[ProtocolVersion] = &[ProtocolVersion::V_2026_07_28];
const LEGACY: &[ProtocolVersion] = &[ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2025_06_18];

impl ServerHandler for Three {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("three", "1.2.3"))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.versions)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str| {
            let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
            let schema: JsonObject = serde_json::from_value(schema).unwrap();
            Tool::new(name, "Does it.", schema)
        };
        let second = request.is_some_and(|request| request.cursor.is_some());
        let tools = if second { vec![tool("c")] } else { vec![tool("b"), tool("a")] };
        let mut page = ListToolsResult::with_all_items(tools);
        page.next_cursor = (!second).then(|| "second".to_owned());
        Ok(page)
    }
}

struct Kit {
    address: SocketAddr,
    sessions: Arc<LocalSessionManager>,
    requests: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

/// The configuration under test.
struct Form {
    versions: &'static [ProtocolVersion],
    sessions: bool,
    json: bool,
    /// Requests without a token are refused.
    login: bool,
}

impl Kit {
    async fn start(form: Form) -> Self {
        let Form { versions, sessions, json, login } = form;
        let config = StreamableHttpServerConfig::default().with_legacy_session_mode(sessions).with_json_response(json);
        let sessions = Arc::new(LocalSessionManager::default());
        let service = StreamableHttpService::new(move || Ok(Three { versions }), Arc::clone(&sessions), config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (service, counted) = (service.clone(), Arc::clone(&counted));
                let service = service_fn(move |request: Request<Incoming>| {
                    let service = service.clone();
                    counted.fetch_add(1, Ordering::SeqCst);
                    async move {
                        let refused = login && !request.headers().contains_key(header::AUTHORIZATION);
                        Ok::<_, Infallible>(if refused { unauthorized() } else { service.handle(request).await })
                    }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, sessions, requests, _task: AbortOnDropHandle::new(task) }
    }

    async fn sessions(&self) -> usize {
        self.sessions.sessions.read().await.len()
    }
}

fn unauthorized() -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Empty::new().boxed());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(header::WWW_AUTHENTICATE, "Bearer".parse().unwrap());
    response
}

#[tokio::test]
async fn servers_of_the_kit_are_verified_in_every_form() {
    let mut hashes = Vec::new();
    for (versions, sessions, json, era, session_mode) in [
        (MODERN, false, true, Era::Modern, SessionMode::Stateless),
        (MODERN, false, false, Era::Modern, SessionMode::Stateless),
        (ProtocolVersion::KNOWN_VERSIONS, true, false, Era::Modern, SessionMode::Stateless),
        (LEGACY, true, false, Era::Legacy, SessionMode::Stateful),
        (LEGACY, false, true, Era::Legacy, SessionMode::Stateless),
        (LEGACY, false, false, Era::Legacy, SessionMode::Stateless),
    ] {
        let what = format!("{era:?}, sessions: {sessions}, JSON: {json}");
        let kit = Kit::start(Form { versions, sessions, json, login: false }).await;
        for remembered in [None, Some(era)] {
            let found = facts(check_within(LONG, kit.address, "/mcp", remembered).await);
            assert_eq!((found.era, found.session_mode), (era, session_mode), "{what}");
            assert_eq!((found.name, found.version), (Some(Claim::new("three")), Some(Claim::new("1.2.3"))), "{what}");
            assert_eq!(found.capabilities, [Claim::new("tools")]);
            let tools = found.tools.unwrap();
            assert_eq!(tools.count, 3, "{what}");
            hashes.push(tools.hash);
            assert_eq!(kit.sessions().await, 0, "{what}: a session is left behind");
        }
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "the same tools, in whatever form they come");
}

#[tokio::test]
async fn a_server_of_the_kit_behind_a_login_is_asked_once() {
    let kit = Kit::start(Form { versions: LEGACY, sessions: true, json: false, login: true }).await;
    let verdict = check(kit.address).await.to_string();
    assert_eq!(verdict, "AuthenticationRequired: server/discover was answered with 401 Unauthorized");
    assert_eq!(kit.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_of_the_kit_that_does_not_know_the_host_says_so() {
    let kit = Kit::start(Form { versions: MODERN, sessions: false, json: true, login: false }).await;
    let target = smooth_operator::mcp::Target::new(kit.address, "three.default.svc:8080", "/mcp").unwrap();
    let verdict = smooth_operator::mcp::Prober::default().check(&target, None).await;
    assert!(matches!(verdict, Verdict::Failed { .. }), "its clients would be refused, too");
    assert!(verdict.to_string().contains("403 Forbidden"), "{verdict}");
}
