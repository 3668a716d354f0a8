//! stub
#![allow(missing_docs, clippy::all, clippy::pedantic)]
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use crate::workqueue::Workqueue;
use crate::telemetry::ControllerMetrics;
pub enum Action { Done, RequeueAfter(Duration) }
pub trait Reconcile<K>: Send + Sync { type Error: std::fmt::Display + Send; fn reconcile(&self, key: &K) -> impl Future<Output = Result<Action, Self::Error>> + Send; }
pub struct Controller<K: Ord + Clone, R> { q: Workqueue<K>, r: Arc<R>, n: usize, _m: ControllerMetrics }
impl<K: Ord + Clone + Send + Sync + std::fmt::Debug + 'static, R: Reconcile<K> + 'static> Controller<K, R> {
    pub fn new(q: Workqueue<K>, r: R, n: usize, _m: ControllerMetrics) -> Self { Self { q, r: Arc::new(r), n, _m } }
    pub async fn run(self, stop: &CancellationToken, _grace: Duration) {
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..self.n {
            let (q, r) = (self.q.clone(), self.r.clone());
            set.spawn(async move { while let Some(item) = q.get().await {
                match r.reconcile(&item).await {
                    Ok(Action::Done) => q.forget(&item),
                    Ok(Action::RequeueAfter(d)) => { q.forget(&item); q.add_after((*item).clone(), d) }
                    Err(e) => { tracing::warn!("{:?} {e}", &*item); q.add_rate_limited((*item).clone()) }
                }
            }});
        }
        stop.cancelled().await; self.q.shut_down();
        while set.join_next().await.is_some() {}
    }
}
