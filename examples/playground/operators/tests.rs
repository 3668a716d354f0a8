use playground::{Options, Playground};
use serde_json::Value;
use tokio::time::timeout;

use super::*;

/// Whatever is waited for takes seconds at most, even while others use the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the Lease names another holder than `before`, and says which one.
async fn holder_after(cluster: &Cluster, before: &str) -> String {
    let (namespace, name) = LEASE;
    let mut changes = cluster.watch(LEASES, 0).unwrap();
    let holder = |lease: &Value| lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    let found = async {
        loop {
            let now = holder(&cluster.get(LEASES, namespace, name).unwrap());
            if !now.is_empty() && now != before {
                return now;
            }
            changes.next().await.unwrap();
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

/// The next report about an operator that runs: its number and its identity.
async fn next_up(news: &mut mpsc::UnboundedReceiver<(usize, Life)>) -> (usize, String) {
    loop {
        if let (number, Life::Up(identity)) = timeout(PATIENCE, news.recv()).await.unwrap().unwrap() {
            return (number, identity);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_the_other_one_leads_and_the_dead_one_comes_back_as_somebody_else() {
    let server = Playground::start(Options::default()).await.unwrap();
    let kubeconfig = std::env::temp_dir().join(format!("smooth-operator-playground-{}", std::process::id()));
    std::fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let (to, mut news) = mpsc::unbounded_channel();
    let timing = Timing::new(Duration::from_secs(2), Duration::from_millis(1500), Duration::from_millis(300)).unwrap();
    let operators = start(server.cluster(), &kubeconfig, &BindAddress::Disabled, timing, &to).unwrap();
    let first_lives = [next_up(&mut news).await, next_up(&mut news).await];
    let number_of = |identity: &str| first_lives.iter().find(|(_, life)| life == identity).map(|(number, _)| *number);

    let leader = holder_after(server.cluster(), "").await;
    let number = number_of(&leader).unwrap();
    operators.kill(number);
    let next = holder_after(server.cluster(), &leader).await;
    assert_eq!(number_of(&next), Some(1 - number), "the one that stood by leads");
    let (reborn, identity) = next_up(&mut news).await;
    assert_eq!(reborn, number);
    assert_eq!(number_of(&identity), None, "and the dead one is back as another instance");

    operators.stop().await.unwrap();
    let (namespace, name) = LEASE;
    let lease = server.cluster().get(LEASES, namespace, name).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "", "a stop in order releases the Lease");
    server.stop().await;
    std::fs::remove_file(kubeconfig).unwrap();
}
