//! An independent client's opinion of the servers: rmcp's, of the Model Context Protocol's own kit for Rust.
//!
//! Without reqwest its only HTTP client is one for Unix sockets, so a bridge leads from such a socket to the pod.

use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener as StdUnixListener};

use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, UnixSocketHttpClient};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::world::World;

async fn bridge(from: UnixListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = from.accept().await {
        connections.spawn(async move {
            let mut far = TcpStream::connect(to).await?;
            copy_bidirectional(&mut near, &mut far).await
        });
    }
}

/// Connects as rmcp does, lists all tools, and leaves.
async fn tools(address: SocketAddr, lifecycle: ClientLifecycleMode) -> Vec<String> {
    let name = format!("playground-{}-{address}", std::process::id());
    let listener = StdUnixListener::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let bridged = bridge(UnixListener::from_std(listener).unwrap(), address);
    let _bridge = AbortOnDropHandle::new(tokio::spawn(bridged));
    let uri = "http://pod/mcp";
    let client = UnixSocketHttpClient::new(&format!("@{name}"), uri);
    let config = StreamableHttpClientTransportConfig::with_uri(uri);
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let service = ().serve_with_lifecycle(transport, lifecycle).await.unwrap();
    let tools = service.list_all_tools().await.unwrap();
    service.cancel().await.unwrap();
    tools.into_iter().map(|tool| tool.name.into_owned()).collect()
}

#[tokio::test]
async fn an_independent_client_lists_the_tools_of_both_eras_and_leaves_no_session() {
    let world = World::start(10).await;
    let auto =
        || ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None };
    let discover = || ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for (image, lifecycle, first) in [
        ("speaks-modern", discover(), "server/discover"),
        ("speaks-both", auto(), "server/discover"),
        ("speaks-legacy", auto(), "server/discover"),
        ("speaks-legacy.again", ClientLifecycleMode::Initialize, "initialize"),
        ("speaks-streams", ClientLifecycleMode::Initialize, "initialize"),
        ("speaks-open-streams", ClientLifecycleMode::Initialize, "initialize"),
        ("speaks-stateless", auto(), "server/discover"),
        ("speaks-early", auto(), "server/discover"),
    ] {
        let address = world.listening(image, image).await;
        let listed = timeout(Duration::from_secs(60), tools(address, lifecycle)).await;
        assert_eq!(listed.unwrap_or_else(|_| panic!("{image}: too long")), ["echo", "fetch", "time"], "{image}");
        let left = async {
            while world.report(address).unwrap().sessions > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), left).await.unwrap_or_else(|_| panic!("{image}: a session was left"));
        assert_eq!(world.report(address).unwrap().requests[0].rpc, first, "{image}");
    }
    world.playground.stop().await;
}
