//! From a kubeconfig to a connection: each way in which that fails is one line that names the file and the remedy.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use smooth_operator::client::{Client, ConnectError, Request, Target, connect};
use smooth_operator::object::{DEPLOYMENTS, ObjectKey};

use crate::fixture::written;
use crate::scripted::Server;

fn config(cluster: &Value, user: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    })
}

fn target(kubeconfig: &Path) -> Target {
    Target { kubeconfig: Some(kubeconfig.to_owned()), context: None }
}

/// What a person reads who starts the operator with this kubeconfig: one line, with the file in it.
async fn complaint(text: &str, context: Option<&str>) -> String {
    let file = written(text);
    let target = Target { context: context.map(str::to_owned), ..target(&file) };
    let message = connect(&target).await.unwrap_err().to_string();
    std::fs::remove_file(&file).unwrap();
    assert!(!message.contains('\n'), "one line: {message}");
    let named = file.display().to_string();
    assert!(message.contains(&named), "names the file: {message}");
    message.replace(&named, "FILE")
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let message = connect(&target(&PathBuf::from("/nowhere/config"))).await.unwrap_err().to_string();
    assert_eq!(
        message,
        "the kubeconfig /nowhere/config: No such file or directory (os error 2); fix the file, or choose another with --kubeconfig or --context"
    );
}

#[tokio::test]
async fn a_file_that_is_no_kubeconfig_says_where_it_stops_making_sense() {
    for text in ["clusters: [\n", "just words", "clusters:\n- name: c\n  cluster: 7\n"] {
        let message = complaint(text, None).await;
        assert!(message.starts_with("the kubeconfig FILE: failed to parse kubeconfig YAML: "), "{message}");
        assert!(message.ends_with("; fix the file, or choose another with --kubeconfig or --context"), "{message}");
    }
}

#[tokio::test]
async fn a_context_that_is_not_there_is_named() {
    let text = config(&json!({"server": "https://127.0.0.1:6443"}), &json!({})).to_string();
    let message = complaint(&text, Some("elsewhere")).await;
    assert_eq!(
        message,
        "the kubeconfig FILE: failed to load current context: elsewhere; fix the file, or choose another with --kubeconfig or --context"
    );
    let message = complaint(r#"{"apiVersion":"v1","kind":"Config"}"#, None).await;
    assert_eq!(
        message,
        "the kubeconfig FILE: failed to determine current context; fix the file, or choose another with --kubeconfig or --context"
    );
}

#[tokio::test]
async fn a_context_whose_cluster_or_user_is_missing_names_it() {
    let mut text = config(&json!({"server": "https://127.0.0.1:6443"}), &json!({}));
    text["clusters"] = json!([]);
    let message = complaint(&text.to_string(), None).await;
    assert!(message.contains("failed to load the cluster of context: c"), "{message}");
    let message = complaint(&config(&json!({}), &json!({})).to_string(), None).await;
    assert!(message.contains("cluster url is missing"), "{message}");
}

#[tokio::test]
async fn certificates_that_are_none_are_told_apart() {
    let server = "https://127.0.0.1:6443";
    let not_base64 = config(&json!({"server": server, "certificate-authority-data": "%%%"}), &json!({}));
    let message = complaint(&not_base64.to_string(), None).await;
    assert!(
        message
            .starts_with("the kubeconfig FILE: failed to load certificate authority: failed to decode base64 data: "),
        "{message}"
    );

    let not_there = config(&json!({"server": server, "certificate-authority": "/nowhere/ca.crt"}), &json!({}));
    let message = complaint(&not_there.to_string(), None).await;
    assert!(message.contains("certificate authority") && message.contains("/nowhere/ca.crt"), "{message}");

    let user = json!({"client-certificate-data": "bm8=", "client-key-data": "bm8="});
    let message = complaint(&config(&json!({"server": server}), &user).to_string(), None).await;
    assert!(message.starts_with(&format!("the credentials for {server} in FILE: ")), "{message}");
    assert!(message.ends_with("; check the certificates and tokens of this context"), "{message}");
}

#[tokio::test]
async fn a_login_plugin_that_is_not_installed_is_named() {
    let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-login-plugin", "interactiveMode": "Never"}});
    let message = complaint(&config(&json!({"server": "https://127.0.0.1:6443"}), &exec).to_string(), None).await;
    assert!(message.contains("no-such-login-plugin") && message.contains("No such file or directory"), "{message}");
}

#[tokio::test]
async fn a_login_plugin_that_fails_is_quoted_and_its_output_is_not() {
    let script = "echo said-on-stdout; echo said-on-stderr >&2; exit 3";
    let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script], "interactiveMode": "Never"}});
    let file = written(&config(&json!({"server": "https://127.0.0.1:6443"}), &exec).to_string());
    let error = connect(&target(&file)).await.unwrap_err();
    std::fs::remove_file(file).unwrap();
    let message = error.to_string();
    assert!(matches!(error, ConnectError::Credentials { .. }), "{message}");
    assert!(
        message.contains("exit status: 3") && message.contains("said-on-stderr") && !message.contains('\n'),
        "{message}"
    );
}

#[tokio::test]
async fn a_good_kubeconfig_says_where_it_leads_and_sends_nothing_yet() {
    let mut server = Server::start().await;
    let mut text = config(&json!({"server": server.url}), &json!({"token": "t0ken"}));
    text["contexts"][0]["context"]["namespace"] = json!("prod");
    let file = written(&text.to_string());
    let connection = connect(&target(&file)).await.unwrap();
    std::fs::remove_file(file).unwrap();
    assert_eq!((connection.server.as_str(), connection.namespace.as_str()), (server.url.as_str(), "prod"));
    assert!(server.was_asked_nothing_more());
    let client: Client = connection.client;
    let answer = async {
        let asked = server.next().await;
        let headers = ["authorization", "accept", "user-agent"].map(|name| asked.header(name).to_owned());
        asked.json(200, &json!({})).await;
        headers
    };
    let (sent, headers) = tokio::join!(client.send::<Value>(get()), answer);
    sent.unwrap();
    assert_eq!(headers, ["Bearer t0ken", "application/json", concat!("smooth-operator/", env!("CARGO_PKG_VERSION"))]);
}

fn get() -> Request {
    Request::get(&DEPLOYMENTS, &ObjectKey::new("n", "web"))
}

#[tokio::test]
async fn a_login_plugin_is_asked_for_the_token_and_its_token_is_sent() {
    let mut server = Server::start().await;
    let says =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"fetched"}}"#;
    let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [says], "interactiveMode": "Never"}});
    let file = written(&config(&json!({"server": server.url}), &exec).to_string());
    let client = connect(&target(&file)).await.unwrap().client;
    std::fs::remove_file(file).unwrap();
    let answer = async {
        let asked = server.next().await;
        let token = asked.header("authorization").to_owned();
        asked.json(200, &json!({})).await;
        token
    };
    let (sent, token) = tokio::join!(client.send::<Value>(get()), answer);
    sent.unwrap();
    assert_eq!(token, "Bearer fetched");
}

/// Behind a proxy the connection is put together by the library, whose own clients repeat requests by themselves.
#[tokio::test]
async fn behind_a_proxy_no_request_is_repeated_either() {
    let mut proxy = Server::start().await;
    let cluster = json!({"server": "http://cluster.example:80", "proxy-url": proxy.url});
    let file = written(&config(&cluster, &json!({})).to_string());
    let client = connect(&target(&file)).await.unwrap().client;
    std::fs::remove_file(file).unwrap();
    let answer = async {
        let connects = proxy.next().await;
        assert_eq!((connects.method.as_str(), connects.path.as_str()), ("CONNECT", "cluster.example:80"));
        connects.answer(200, &[], "").await;
        proxy.next().await.answer(503, &[("retry-after", "0")], "").await;
    };
    let (sent, ()) = tokio::join!(client.send::<Value>(get()), answer);
    assert_eq!(sent.unwrap_err().code(), 503);
    assert!(proxy.was_asked_nothing_more());
}

#[tokio::test]
async fn a_proxy_is_told_the_name_and_password_that_its_url_holds() {
    let mut proxy = Server::start().await;
    let url = proxy.url.replace("http://", "http://me:p%40ss@");
    let cluster = json!({"server": "http://cluster.example:80", "proxy-url": url});
    let file = written(&config(&cluster, &json!({})).to_string());
    let client = connect(&target(&file)).await.unwrap().client;
    std::fs::remove_file(file).unwrap();
    let answer = async {
        let connects = proxy.next().await;
        // The base64 of `me:p@ss`.
        assert_eq!(connects.header("proxy-authorization"), "Basic bWU6cEBzcw==");
        connects.answer(200, &[], "").await;
        proxy.next().await.json(200, &json!({})).await;
    };
    let (sent, ()) = tokio::join!(client.send::<Value>(get()), answer);
    sent.unwrap();
}

#[tokio::test]
async fn a_proxy_that_speaks_something_else_is_refused_by_name() {
    let cluster = json!({"server": "http://cluster.example:80", "proxy-url": "socks5://127.0.0.1:1080"});
    let message = complaint(&config(&cluster, &json!({})).to_string(), None).await;
    assert!(message.contains("socks5://127.0.0.1:1080"), "{message}");
}
