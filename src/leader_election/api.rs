//! The three requests of an election.
//!
//! A trait separates them from the elector, so that the election can be simulated with an API server that loses,
//! delays and reorders requests in virtual time (`simulation`, in the tests). The real implementation is a thin layer.

use std::future::Future;

use k8s_openapi::api::coordination::v1::Lease;

use crate::client::{self, Client, Fence, Request};
use crate::object::{LEASES, ObjectKey};

/// The elector's requests to the API server. All three are about the same Lease.
pub trait LeaseApi: Send + Sync + 'static {
    /// Reads the Lease; `None` if it does not exist.
    fn get(&self) -> impl Future<Output = Result<Option<Lease>, LeaseError>> + Send;

    /// Creates the Lease, which must not exist yet.
    fn create(&self, lease: Lease) -> impl Future<Output = Result<Lease, LeaseError>> + Send;

    /// Replaces the Lease in the state that `lease.metadata` names: uid and resourceVersion.
    fn replace(&self, lease: Lease) -> impl Future<Output = Result<Lease, LeaseError>> + Send;
}

/// A request for the Lease that failed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The Lease has changed since it was read: somebody else was faster. The write was not done.
    #[error("the lease has changed since it was read")]
    Changed,
    /// Anything else. A write may or may not have been done.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// The Lease in a cluster.
#[derive(Debug, Clone)]
pub struct ClientLease {
    client: Client,
    key: ObjectKey,
}

impl ClientLease {
    /// The Lease `key`, through the connection of `client` but not through its fence: what is written here opens the
    /// fence.
    pub fn new(client: &Client, key: ObjectKey) -> Self {
        Self { client: client.behind(Fence::always_open()), key }
    }
}

impl LeaseApi for ClientLease {
    async fn get(&self) -> Result<Option<Lease>, LeaseError> {
        match self.client.send(Request::get(&LEASES, &self.key)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if error.code() == 404 => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn create(&self, lease: Lease) -> Result<Lease, LeaseError> {
        let lease = serde_json::to_value(&lease).map_err(unwritable)?;
        let request = Request::create(&LEASES, &self.key, &lease);
        self.client
            .send(request)
            .await
            .map_err(|error| if error.code() == 409 { LeaseError::Changed } else { failed(error) })
    }

    async fn replace(&self, lease: Lease) -> Result<Lease, LeaseError> {
        let lease = serde_json::to_value(&lease).map_err(unwritable)?;
        let request = Request::replace(&LEASES, &self.key, &lease);
        self.client.send(request).await.map_err(|error| match error.code() {
            // Somebody else replaced or deleted it. The API server would create a Lease by PUT, too; the uid in the
            // body prevents that for a deleted one, since it then matches no object: 409.
            409 | 404 => LeaseError::Changed,
            _ => failed(error),
        })
    }
}

fn failed(error: client::Error) -> LeaseError {
    LeaseError::Failed(error.into())
}

fn unwritable(error: serde_json::Error) -> LeaseError {
    LeaseError::Failed(error.into())
}

#[cfg(test)]
mod tests {
    use kube_client::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// A Lease behind an API server that answers everything like this.
    fn answered(code: u16, body: Value) -> ClientLease {
        let answer = move |_: http::Request<Body>| {
            let body = Body::from(body.to_string().into_bytes());
            let answer = http::Response::builder().status(code).body(body).unwrap();
            async move { Ok::<_, std::convert::Infallible>(answer) }
        };
        let transport = kube_client::Client::new(tower::service_fn(answer), "default");
        let closed = Client::new(transport).behind(Fence::closed());
        ClientLease::new(&closed, ObjectKey::new("default", "smooth-operator"))
    }

    fn refusal(code: u16, reason: &str) -> Value {
        json!({"kind": "Status", "status": "Failure", "reason": reason, "message": "as recorded", "code": code})
    }

    #[tokio::test]
    async fn the_lease_itself_is_written_though_the_fence_is_closed() {
        let stored = json!({"metadata": {"name": "smooth-operator", "resourceVersion": "875"}});
        let lease = answered(200, stored).replace(Lease::default()).await.unwrap();
        assert_eq!(lease.metadata.resource_version.as_deref(), Some("875"));
    }

    #[tokio::test]
    async fn no_lease_is_an_answer_and_a_refusal_is_none() {
        assert!(answered(404, refusal(404, "NotFound")).get().await.unwrap().is_none());
        let stored = json!({"metadata": {"name": "smooth-operator", "resourceVersion": "875"}});
        assert_eq!(answered(200, stored).get().await.unwrap().unwrap().metadata.resource_version.unwrap(), "875");
        assert!(matches!(answered(403, refusal(403, "Forbidden")).get().await, Err(LeaseError::Failed(_))));
    }

    #[tokio::test]
    async fn a_write_that_came_too_late_says_that_the_lease_has_changed() {
        let conflict = answered(409, refusal(409, "Conflict")).replace(Lease::default()).await;
        assert!(matches!(conflict, Err(LeaseError::Changed)));
        let deleted = answered(404, refusal(404, "NotFound")).replace(Lease::default()).await;
        assert!(matches!(deleted, Err(LeaseError::Changed)));
        let exists = answered(409, refusal(409, "AlreadyExists")).create(Lease::default()).await;
        assert!(matches!(exists, Err(LeaseError::Changed)));
    }

    #[tokio::test]
    async fn a_missing_permission_names_the_rule_to_add() {
        let forbidden = answered(403, refusal(403, "Forbidden")).create(Lease::default()).await;
        let Err(LeaseError::Failed(error)) = forbidden else { panic!("{forbidden:?}") };
        assert!(error.to_string().contains("leases"), "{error}");
        assert!(error.to_string().contains("create"), "{error}");
    }
}
