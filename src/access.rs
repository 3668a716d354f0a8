//! Who may read the metrics: asked of the API server, remembered for a short time.
//!
//! # The naive solution, and how it breaks
//!
//! A password in a flag. It has to be distributed, it is in the process list, and it can't be revoked for one client. Or
//! ask the API server at each scrape: then whoever sends garbage to the port has the operator send garbage to the API
//! server, as fast as both can.
//!
//! # The mechanism
//!
//! The client sends the bearer token that it has anyway: that of its service account. The API server says whose it is
//! (TokenReview) and whether they may `get` the path `/metrics` (SubjectAccessReview):
//!
//! ```text
//!  Authorization: Bearer … ──► hash ──► in the cache? ──► the verdict
//!                                          │ no
//!                                          └─► 4 at a time, 5 s: TokenReview ──► SubjectAccessReview ──► into the cache
//! ```
//!
//! | answer | when |
//! |---|---|
//! | 401 | there is no token, or nobody's |
//! | 403 | their rights don't include it; the message says whose, and which role does |
//! | 500 | the API server did not answer in time, or does not let the operator ask |
//!
//! The cache contains hashes of tokens, never a token. It is small, and forgets within a minute. That a token could not
//! be asked about is remembered, too, for seconds: an API server in trouble is not helped by the same question at each
//! scrape. And it is logged once, until a question is answered again.
//!
//! Both questions have the form of objects that are created, though nothing is stored. So they don't pass the
//! [fence](crate::client::Fence): a follower has metrics, too.
//!
//! # What it does not promise
//!
//! That a revoked token stops working at once: it may work for another minute.
//!
//! # Equivalents
//!
//! controller-runtime: `metrics/filters.WithAuthenticationAndAuthorization`; before that, the sidecar kube-rbac-proxy.
//!
//! # What to try
//!
//! Apply `config/full` to a cluster, and in a Pod whose service account is bound to `smooth-operator-metrics-reader`,
//! `curl -k -H "Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)"` the metrics.

pub mod cache;

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::client::{Client, Error, Fence, Request};
use crate::object::{ACCESS_REVIEWS, ObjectKey, TOKEN_REVIEWS};
use cache::{Cache, Fingerprint};

/// The longest time from a request to its verdict. A scrape has ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many clients may be looked up at the same time.
const LOOKUPS: usize = 4;
/// What a client needs the right to `get`.
const PATH: &str = "/metrics";
/// The role in `config/metrics-secure` that grants it.
const ROLE: &str = "smooth-operator-metrics-reader";

/// What the API server says about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its owner may read the metrics.
    Allowed,
    /// It is nobody's.
    Unknown,
    /// Its owner may not; who that is.
    Forbidden(String),
    /// Nothing: it could not be asked.
    Unavailable,
}

/// Why a request is refused. The message is for the client, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no token.
    #[error("send the token of a service account: `Authorization: Bearer <token>`")]
    NoToken,
    /// The API server does not know the token.
    #[error("the API server does not accept this token")]
    Unknown,
    /// The token's owner may not read the metrics.
    #[error("{0} may not get {PATH}: bind the ClusterRole {ROLE} to it")]
    Forbidden(String),
    /// The API server could not be asked. The log says why: that is not for everybody.
    #[error("the API server can't be asked about this token at the moment")]
    Unavailable,
}

/// Lets those through who may read the metrics.
#[derive(Debug)]
pub struct Gate {
    client: Client,
    cache: Mutex<Cache>,
    lookups: Semaphore,
    /// Whether a failure was logged, and none of the questions since then was answered.
    complained: Mutex<bool>,
}

impl Gate {
    /// A gate that asks through this connection.
    pub fn new(client: &Client) -> Self {
        let client = client.behind(Fence::always_open()).with_timeout(PATIENCE);
        Self { client, cache: Mutex::default(), lookups: Semaphore::new(LOOKUPS), complained: Mutex::default() }
    }

    /// Whether a request with this `Authorization` header may pass.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: it may not.
    pub async fn admit(&self, authorization: Option<&str>) -> Result<(), Refusal> {
        let token = authorization.and_then(bearer).ok_or(Refusal::NoToken)?;
        let fingerprint = Fingerprint::of(token);
        let verdict = match self.cached(&fingerprint) {
            Some(verdict) => verdict,
            None => self.look_up(token, fingerprint).await,
        };
        match verdict {
            Verdict::Allowed => Ok(()),
            Verdict::Unknown => Err(Refusal::Unknown),
            Verdict::Forbidden(user) => Err(Refusal::Forbidden(user)),
            Verdict::Unavailable => Err(Refusal::Unavailable),
        }
    }

    fn cached(&self, fingerprint: &Fingerprint) -> Option<Verdict> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(fingerprint, Instant::now())
    }

    async fn look_up(&self, token: &str, fingerprint: Fingerprint) -> Verdict {
        let asked = timeout(PATIENCE, async {
            let _slot = self.lookups.acquire().await;
            // Somebody with the same token may have asked while this one waited.
            match self.cached(&fingerprint) {
                Some(verdict) => Ok((verdict, false)),
                None => self.ask(token).await.map(|verdict| (verdict, true)),
            }
        });
        let verdict = match asked.await {
            Ok(Ok((verdict, false))) => return verdict,
            Ok(Ok((verdict, true))) => {
                self.recover();
                verdict
            }
            Ok(Err(error)) => self.complain(&error),
            Err(_elapsed) => self.complain(&"it has not answered in time"),
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(fingerprint, verdict.clone(), Instant::now());
        verdict
    }

    /// Says why nobody new is let through, once: the next requests will fail for the same reason.
    fn complain(&self, error: &dyn Display) -> Verdict {
        let before = std::mem::replace(&mut *self.complained.lock().unwrap_or_else(PoisonError::into_inner), true);
        if !before {
            tracing::warn!(%error, "the metrics are refused, because the API server can't be asked about a token");
        }
        Verdict::Unavailable
    }

    fn recover(&self) {
        if std::mem::take(&mut *self.complained.lock().unwrap_or_else(PoisonError::into_inner)) {
            tracing::info!("the API server can be asked about tokens again");
        }
    }

    async fn ask(&self, token: &str) -> Result<Verdict, Error> {
        let nameless = ObjectKey::cluster_wide("");
        let question = json!({
            "apiVersion": TOKEN_REVIEWS.api_version(), "kind": TOKEN_REVIEWS.kind, "spec": {"token": token},
        });
        let reviewed: Value = self.client.send(Request::create(&TOKEN_REVIEWS, &nameless, &question)).await?;
        if reviewed["status"]["authenticated"] != true {
            return Ok(Verdict::Unknown);
        }
        let user = &reviewed["status"]["user"];
        let question = json!({
            "apiVersion": ACCESS_REVIEWS.api_version(),
            "kind": ACCESS_REVIEWS.kind,
            "spec": {
                "user": user["username"], "groups": user["groups"], "uid": user["uid"], "extra": user["extra"],
                "nonResourceAttributes": {"path": PATH, "verb": "get"},
            },
        });
        let reviewed: Value = self.client.send(Request::create(&ACCESS_REVIEWS, &nameless, &question)).await?;
        if reviewed["status"]["allowed"] == true {
            return Ok(Verdict::Allowed);
        }
        Ok(Verdict::Forbidden(user["username"].as_str().unwrap_or_default().to_owned()))
    }
}

/// The token in an `Authorization` header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

#[cfg(test)]
mod tests;
