use std::path::Path;
use std::sync::Mutex;

use playground::{Options, Playground};
use smooth_operator::api::crd;

use super::*;

struct World {
    server: Playground,
    hands: Hands,
}

impl World {
    /// The cluster with the CRD and all samples, without an operator.
    async fn new() -> Self {
        let server = Playground::start(Options::default()).await.unwrap();
        let definitions = "customresourcedefinitions.apiextensions.k8s.io";
        server.cluster().create(definitions, "", crd::definition(), "test").unwrap();
        let samples = samples::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples"))).unwrap();
        samples::create(server.cluster(), &samples).unwrap();
        let hands = Hands::new(&server.url(), samples).unwrap();
        Self { server, hands }
    }

    /// Does it, and returns what was said.
    async fn act(&self, deed: Deed) -> Vec<String> {
        let said = Mutex::new(Vec::new());
        self.hands.act(deed, |Said { name, text }| said.lock().unwrap().push(format!("{name}: {text}"))).await;
        said.into_inner().unwrap()
    }

    fn mcpserver(&self, name: &str) -> Option<Value> {
        self.server.cluster().get("mcpservers.mcp.mcp.dev", "default", name).map(|server| (*server).clone())
    }
}

fn key(name: &str) -> Key {
    ("default".to_owned(), name.to_owned())
}

#[tokio::test]
async fn each_press_of_plus_is_one_pod_more_and_there_are_never_fewer_than_none() {
    let world = World::new().await;
    assert_eq!(world.act(Deed::Scale(key("fetch"), 1)).await, ["fetch: scale to 2"]);
    assert_eq!(world.act(Deed::Scale(key("fetch"), 1)).await, ["fetch: scale to 3"]);
    assert_eq!(world.mcpserver("fetch").unwrap()["spec"]["replicas"], 3);
    assert_eq!(world.act(Deed::Scale(key("standby"), -1)).await, ["standby: scale to 0"]);
    world.server.stop().await;
}

#[tokio::test]
async fn a_change_is_recorded_under_the_name_of_the_view() {
    let world = World::new().await;
    world.act(Deed::BreakOrMend(key("fetch"))).await;
    let object = world.hands.send(Method::GET, &server(&key("fetch")), JSON, None).await.unwrap();
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let ours = managers.iter().find(|entry| entry["manager"] == MANAGER).unwrap();
    assert_eq!(ours["fieldsV1"], json!({"f:spec": {"f:image": {}}}));
    world.server.stop().await;
}

#[tokio::test]
async fn an_image_is_broken_and_then_mended_however_fast_the_key_is_pressed() {
    let world = World::new().await;
    let image = || world.mcpserver("fetch").unwrap()["spec"]["image"].as_str().unwrap().to_owned();
    let good = image();
    assert_eq!(world.act(Deed::BreakOrMend(key("fetch"))).await, ["fetch: break its image"]);
    assert!(image().starts_with("invalid.example/"), "{}", image());
    assert_eq!(world.act(Deed::BreakOrMend(key("fetch"))).await, ["fetch: mend its image"]);
    assert_eq!(image(), good);
    world.server.stop().await;
}

#[tokio::test]
async fn a_deleted_sample_is_applied_again_and_after_it_a_copy() {
    let world = World::new().await;
    assert_eq!(world.act(Deed::Delete(key("example-server"))).await, ["example-server: delete"]);
    assert_eq!(world.mcpserver("example-server"), None);
    assert_eq!(world.act(Deed::Apply).await, ["mcp-secrets: apply", "example-server: apply"]);
    assert_eq!(world.act(Deed::Apply).await, ["everything-2: apply"]);
    assert!(world.mcpserver("example-server").is_some() && world.mcpserver("everything-2").is_some());
    world.server.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_has_other_data_and_keeps_the_rest() {
    let world = World::new().await;
    let data = || world.server.cluster().get("secrets", "default", "mcp-secrets").unwrap()["data"].clone();
    let before = data();
    world.act(Deed::Rotate(key("mcp-secrets"))).await;
    assert_eq!(data()["API_TOKEN"], before["API_TOKEN"]);
    assert!(before["ROTATED_AT"].is_null() && data()["ROTATED_AT"].is_string());
    world.server.stop().await;
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    let world = World::new().await;
    let said = world.act(Deed::Delete(key("nobody"))).await;
    assert_eq!(said, ["nobody: delete", "nobody: refused: mcpservers.mcp.mcp.dev \"nobody\" not found"]);
    world.server.stop().await;
}

#[tokio::test]
async fn cutting_the_watches_spares_those_of_everybody_else() {
    let world = World::new().await;
    let path = format!("{}?watch=true&timeoutSeconds=60", servers("default"));
    let request = |agent| Request::builder().uri(&path).header(USER_AGENT, agent).body(Vec::new()).unwrap();
    let open = |agent: &'static str| world.hands.client.request_stream(request(agent));
    let (_theirs, _ours) = (open("smooth-operator/1").await.unwrap(), open("kubectl").await.unwrap());
    let left = || world.server.cluster().faults().open_watches(&playground::faults::Matcher::default());
    assert_eq!(left(), 2);
    assert_eq!(world.act(Deed::CutWatches).await, ["watches: cut all watches of the operators"]);
    timeout(PATIENCE, async {
        while left() != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    world.server.stop().await;
}
