use super::*;
use jiff::Timestamp;

fn deployment(replicas: i64, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n", "uid": "u", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
        "status": {},
    })
}

fn now(second: u32) -> Timestamp {
    format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60).parse().unwrap()
}

/// The set as its controller leaves it: so many pods, so many of them available.
fn observed(mut set: Value, pods: i64, available: i64) -> Arc<Value> {
    set["status"] = json!({
        "replicas": pods, "readyReplicas": available, "availableReplicas": available, "terminatingReplicas": 0,
    });
    Arc::new(set)
}

fn size(set: &Value) -> i64 {
    meta::int(set, &["spec", "replicas"])
}

/// A Deployment that was rolled out completely, with its only set.
fn settled(replicas: i64) -> (Value, Arc<Value>) {
    let first = plan(&deployment(replicas, "x:1"), &[], now(0));
    let set = observed(first.create.unwrap(), replicas, replicas);
    let status = plan(&first.status.unwrap(), &[Arc::clone(&set)], now(1)).status.unwrap();
    (status, set)
}

fn reason(deployment: &Value, kind: &str) -> String {
    let conditions = deployment["status"]["conditions"].as_array().unwrap();
    meta::text(meta::condition(conditions, kind).unwrap(), &["reason"]).to_owned()
}

#[test]
fn a_new_deployment_gets_a_set_that_bears_its_revision() {
    let plan = plan(&deployment(2, "x:1"), &[], now(0));
    let set = plan.create.unwrap();
    assert_eq!(size(&set), 2);
    let annotations = &set["metadata"]["annotations"];
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "1");
    assert_eq!(annotations["deployment.kubernetes.io/max-replicas"], "3");
    let hash = &set["metadata"]["labels"]["pod-template-hash"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"]["pod-template-hash"], hash);
    assert_eq!(set["metadata"]["name"], format!("d-{}", hash.as_str().unwrap()));
    assert_eq!(reason(&plan.status.unwrap(), "Progressing"), "NewReplicaSetCreated");
}

#[test]
fn a_settled_deployment_needs_nothing() {
    let (deployment, set) = settled(3);
    assert_eq!(reason(&deployment, "Progressing"), "NewReplicaSetAvailable");
    let plan = plan(&deployment, &[set], now(9));
    assert!(plan.create.is_none() && plan.update.is_empty() && plan.status.is_none() && plan.again.is_none());
}

#[test]
fn a_rollout_that_finds_no_footing_leaves_the_old_pods_alone_and_times_out() {
    let (mut deployment, old) = settled(3);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "does-not-exist".into();
    let first = plan(&deployment, &[Arc::clone(&old)], now(2));
    assert!(first.update.is_empty());
    let new = observed(first.create.unwrap(), 1, 0);
    assert_eq!(size(&new), 1);
    let sets = [old, new];
    let second = plan(&first.status.unwrap(), &sets, now(3));
    assert!(second.update.is_empty());
    assert_eq!(second.again, Some(tokio::time::Duration::from_secs(600)));
    let stuck = second.status.unwrap();
    assert_eq!(stuck["status"]["unavailableReplicas"], 1);
    let third = plan(&stuck, &sets, now(604));
    assert_eq!(reason(&third.status.unwrap(), "Progressing"), "ProgressDeadlineExceeded");
    assert_eq!(third.again, None);
}

#[test]
fn broken_old_pods_make_room_for_new_ones_at_once() {
    let (mut deployment, good) = settled(3);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "does-not-exist".into();
    let bad = observed(plan(&deployment, &[Arc::clone(&good)], now(2)).create.unwrap(), 1, 0);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2".into();
    let mended = plan(&deployment, &[good, Arc::clone(&bad)], now(3));
    assert_eq!(size(&mended.create.unwrap()), 0);
    let [shrunk] = mended.update.as_slice() else { panic!("{:?}", mended.update) };
    assert_eq!((name(shrunk), size(shrunk)), (name(&bad), 0));
}

#[test]
fn an_available_new_pod_lets_an_old_one_go() {
    let (mut deployment, old) = settled(3);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2".into();
    let first = plan(&deployment, &[Arc::clone(&old)], now(2));
    let new = observed(first.create.unwrap(), 1, 1);
    let second = plan(&first.status.unwrap(), &[old, new], now(3));
    let sizes: Vec<i64> = second.update.iter().map(size).collect();
    assert_eq!(sizes, [2]);
}

#[test]
fn scaling_in_the_middle_of_a_rollout_grows_both_sides() {
    let (mut deployment, old) = settled(10);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2".into();
    let first = plan(&deployment, &[Arc::clone(&old)], now(2));
    let new = observed(first.create.unwrap(), 3, 0);
    let mut deployment = first.status.unwrap();
    deployment["spec"]["replicas"] = 20.into();
    let plan = plan(&deployment, &[old, new], now(3));
    let mut sizes: Vec<i64> = plan.update.iter().map(size).collect();
    sizes.sort_unstable();
    // 20 and a surge of 5, in the proportion of 10 to 3.
    assert_eq!(sizes, [6, 19]);
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let (mut deployment, old) = settled(2);
    deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2".into();
    let first = plan(&deployment, &[Arc::clone(&old)], now(2));
    assert!(first.create.is_none());
    let mut shrunk = first.update[0].clone();
    assert_eq!(size(&shrunk), 0);
    shrunk["status"] = json!({"replicas": 0, "terminatingReplicas": 2});
    assert!(plan(&deployment, &[Arc::new(shrunk.clone())], now(3)).create.is_none());
    shrunk["status"] = json!({"replicas": 0, "terminatingReplicas": 0});
    assert_eq!(size(&plan(&deployment, &[Arc::new(shrunk)], now(4)).create.unwrap()), 2);
}

#[test]
fn a_paused_deployment_is_scaled_but_not_rolled_out() {
    let (mut deployment, old) = settled(2);
    deployment["spec"]["paused"] = true.into();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2".into();
    let noted = plan(&deployment, &[Arc::clone(&old)], now(2)).status.unwrap();
    assert_eq!(reason(&noted, "Progressing"), "DeploymentPaused");
    deployment = noted;
    deployment["spec"]["replicas"] = 4.into();
    let plan = plan(&deployment, &[old], now(3));
    assert!(plan.create.is_none());
    assert_eq!(size(&plan.update[0]), 4);
}

#[test]
fn history_beyond_the_limit_is_cleared_away_oldest_first() {
    let (mut deployment, current) = settled(1);
    deployment["spec"]["revisionHistoryLimit"] = 1.into();
    let idle = |name: &str, created: &str| {
        let mut set = (*current).clone();
        set["metadata"]["name"] = name.into();
        set["metadata"]["creationTimestamp"] = created.into();
        set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "0".into();
        set["spec"]["replicas"] = 0.into();
        set["spec"]["template"]["spec"]["containers"][0]["image"] = name.into();
        observed(set, 0, 0)
    };
    let sets = [idle("b", "2025-01-02T00:00:00Z"), idle("a", "2025-01-01T00:00:00Z"), Arc::clone(&current)];
    assert_eq!(plan(&deployment, &sets, now(9)).delete, ["a"]);
}
