use playground::{Cluster, Options, Playground};
use serde_json::json;
use std::time::Instant;
fn rss() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .find(|l| l.starts_with("VmRSS"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}
#[tokio::main]
async fn main() {
    let n: usize = std::env::args().nth(1).map_or(10000, |a| a.parse().unwrap());
    let with = std::env::args().nth(2).is_some();
    let (cluster, _pg) = if with {
        let p = Playground::start(Options::default()).await.unwrap();
        (p.cluster().clone(), Some(p))
    } else {
        (Cluster::new(1, std::time::Duration::from_secs(60)), None)
    };
    let crd: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string("/tmp/pgapi/crd.json").unwrap()).unwrap();
    cluster.create("customresourcedefinitions.apiextensions.k8s.io", "", crd, "k").unwrap();
    let t = Instant::now();
    let mut hs = vec![];
    for w in 0..4 {
        let c = cluster.clone();
        hs.push(tokio::spawn(async move {
            for i in 0..n / 4 {
                let name = format!("s-{w}-{i}");
                let o = json!({"apiVersion":"mcp.mcp.dev/v1alpha1","kind":"MCPServer","metadata":{"name":name},"spec":{"image":"x"}});
                let r = http::Request::post("/apis/mcp.mcp.dev/v1alpha1/namespaces/default/mcpservers").header("content-type","application/json").body(bytes::Bytes::from(o.to_string())).unwrap();
                let r = c.call(r).await; assert_eq!(r.status(), 201);
                tokio::task::yield_now().await;
            }
        }));
    }
    for h in hs.drain(..) {
        h.await.unwrap();
    }
    println!("create {n}: {:?} {:.0}/s rss {} MB", t.elapsed(), n as f64 / t.elapsed().as_secs_f64(), rss());
    let t = Instant::now();
    for w in 0..4 {
        let c = cluster.clone();
        hs.push(tokio::spawn(async move {
            for i in 0..n / 4 {
                let name = format!("s-{w}-{i}");
                let o = json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":name,"labels":{"app.kubernetes.io/name":"mcpserver","app.kubernetes.io/instance":name}},"spec":{"replicas":1,"selector":{"matchLabels":{"app.kubernetes.io/instance":name}},"template":{"metadata":{"labels":{"app.kubernetes.io/instance":name}},"spec":{"containers":[{"name":"c","image":"x","ports":[{"name":"mcp","containerPort":8080}],"readinessProbe":{"tcpSocket":{"port":"mcp"}},"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}}});
                let r = http::Request::patch(format!("/apis/apps/v1/namespaces/default/deployments/{name}?fieldManager=op&force=true")).header("content-type","application/apply-patch+yaml").body(bytes::Bytes::from(o.to_string())).unwrap();
                let r = c.call(r).await; assert_eq!(r.status(), 201);
                tokio::task::yield_now().await;
            }
        }));
    }
    for h in hs.drain(..) {
        h.await.unwrap();
    }
    println!("apply deployments {n}: {:?} {:.0}/s rss {} MB", t.elapsed(), n as f64 / t.elapsed().as_secs_f64(), rss());
    if with {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let ready =
                cluster.list("deployments.apps", None).iter().filter(|d| d["status"]["readyReplicas"] == 1).count();
            println!("{:?} ready {ready} rev {} rss {} MB", t.elapsed(), cluster.revision(), rss());
            if ready == n || t.elapsed().as_secs() > 120 {
                break;
            }
        }
    }
    let t = Instant::now();
    for w in 0..4 {
        let c = cluster.clone();
        hs.push(tokio::spawn(async move {
            for i in 0..n / 4 {
                let o = json!({"status":{"phase":"Running","replicas":1,"availableReplicas":1,"observedGeneration":1,"conditions":[{"type":"Ready","status":"True","reason":"x","message":"y","lastTransitionTime":"2026-11-22T20:00:00Z"}]}, "apiVersion":"mcp.mcp.dev/v1alpha1","kind":"MCPServer","metadata":{"name":format!("s-{w}-{i}")}});
                let r = http::Request::patch(format!("/apis/mcp.mcp.dev/v1alpha1/namespaces/default/mcpservers/s-{w}-{i}/status?fieldManager=op&force=true")).header("content-type","application/apply-patch+yaml").body(bytes::Bytes::from(o.to_string())).unwrap();
                let r = c.call(r).await; assert_eq!(r.status(), 200);
                tokio::task::yield_now().await;
            }
        }));
    }
    for h in hs.drain(..) {
        h.await.unwrap();
    }
    println!("status apply {n}: {:?} {:.0}/s rss {} MB", t.elapsed(), n as f64 / t.elapsed().as_secs_f64(), rss());
    let t = Instant::now();
    let r = cluster
        .call(http::Request::get("/apis/mcp.mcp.dev/v1alpha1/mcpservers").body(bytes::Bytes::new()).unwrap())
        .await;
    use http_body_util::BodyExt;
    let b = r.into_body().collect().await.unwrap().to_bytes();
    println!("list: {:?} {} bytes rss {}", t.elapsed(), b.len(), rss());
}
