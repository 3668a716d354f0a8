//! Carries out what [`kept`](super::kept) decides: reads the Secret, fills the slot, writes the next step.
//!
//! ```text
//!   every instance:  read the Secret ──► fill the slot ──► create the Secret if there is none
//!   the leader:      tell the API server whom to trust ──► take the next step, if it is time
//! ```
//!
//! # Why it polls
//!
//! A watch would report a change at once, but nothing here is urgent: each step leaves an overlap of many polls. Two
//! small GETs every half minute need no second cache, and no right to list or watch Secrets in this namespace.
//!
//! # Who writes
//!
//! The fence decides, as for every other write: a follower's write does not leave this process. There is one exception,
//! to create the Secret where none is. That changes nothing for anybody else: of two instances that try, the API server
//! refuses one, and that one then reads what the other has created.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;

use super::Slot;
use super::kept::{Judge, Kept, Pace, Standing, Step, Stored, decide, encoded};
use super::pair::{Authority, Pair, PairError};
use crate::backoff::{Backoff, Policy};
use crate::client::{Client, Error, Fence, Request};
use crate::clock::WallClock;
use crate::object::{ObjectKey, SECRETS, WEBHOOK_CONFIGURATIONS};

/// Half a minute, as for other requests, is too long for a stop to wait.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What belongs to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The Service through which the API server calls it.
    pub service: ObjectKey,
    /// The Secret with the certificate, in the namespace of the Service.
    pub secret: ObjectKey,
    /// The ValidatingWebhookConfiguration.
    pub configuration: ObjectKey,
}

impl Place {
    /// What belongs to the webhook behind this Service; the names are those in `config/webhook`.
    pub fn of(service: ObjectKey) -> Self {
        let secret = service.sibling("smooth-operator-webhook-cert");
        Self { service, secret, configuration: ObjectKey::cluster_wide("smooth-operator") }
    }

    /// The name that the API server calls.
    fn host(&self) -> String {
        format!("{}.{}.svc", self.service.name(), self.service.namespace())
    }
}

/// Keeps the certificate of the webhook.
pub struct Keeper {
    client: Client,
    fence: Fence,
    place: Place,
    name: ServerName<'static>,
    slot: Slot,
    pace: Pace,
    /// The pauses while there is no certificate.
    backoff: Backoff,
    wall_clock: WallClock,
    /// The contents whose authorities the API server was last seen to trust, and since when that is known.
    told: Option<(Kept, Instant)>,
    /// The last failure that was logged.
    complaint: String,
}

/// A round that failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Request(#[from] Error),
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error("{0} is no object")]
    Form(ObjectKey),
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// There is nothing to do until the next poll.
    Quiet,
    /// Something was written, by this instance or another one: look again soon.
    Changed,
}

impl Keeper {
    /// A keeper that fills `slot`. `client` must be behind `fence`. `seed` is for the jitter.
    ///
    /// # Errors
    ///
    /// The Service has a name that is no DNS name.
    pub fn new(
        client: &Client,
        fence: Fence,
        webhook: Place,
        slot: Slot,
        pace: Pace,
        wall_clock: WallClock,
        seed: u64,
    ) -> Result<Self, PairError> {
        let name = ServerName::try_from(webhook.host()).map_err(|_| PairError::Name(webhook.host()))?;
        let client = client.with_timeout(TIMEOUT);
        let policy = Policy { initial: pace.retry, cap: pace.poll, ..Policy::REFLECTOR };
        let backoff = Backoff::new(policy, seed);
        let complaint = String::new();
        Ok(Self { client, fence, place: webhook, name, slot, pace, backoff, wall_clock, told: None, complaint })
    }

    /// Keeps the certificate until `stop`. A write that is under way is finished.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let round = self.round().await.unwrap_or_else(|failure| {
                self.complain(&failure);
                Round::Quiet
            });
            let pause = match round {
                // Without a certificate this instance is not ready, and waits for one that another will make. It may also
                // lack a permission, or the API server; then the whole fleet would ask in step, for ever.
                Round::Quiet if self.slot.is_empty() => self.backoff.next_delay(Instant::now()),
                Round::Quiet => self.pace.poll,
                Round::Changed => self.pace.retry,
            };
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Says what failed, once: the next polls will fail for the same reason.
    fn complain(&mut self, failure: &Failure) {
        let complaint = failure.to_string();
        if complaint != self.complaint {
            tracing::warn!(error = complaint, "the webhook's certificate can't be kept");
            self.complaint = complaint;
        }
    }

    async fn round(&mut self) -> Result<Round, Failure> {
        let object = self.read_secret().await?;
        let stored = Stored::read(object.as_ref());
        let judge = Judge { name: self.name.clone(), now: self.wall_clock.now() };
        let leads = self.fence.remaining(Instant::now()).is_some();
        if let Stored::Kept(kept) = &stored {
            self.slot.put(&kept.serving);
            if leads {
                self.tell(kept).await?;
            }
        }
        let standing = Standing { leads, told_for: self.told_for(&stored) };
        let step = decide(&stored, &judge, standing, &self.pace);
        let round = self.take(step, object, &stored, &judge).await?;
        self.complaint.clear();
        Ok(round)
    }

    /// For how long the API server has trusted everybody in this Secret.
    fn told_for(&self, stored: &Stored) -> Option<Duration> {
        match (&self.told, stored) {
            (Some((told, since)), Stored::Kept(kept)) if told == kept => Some(since.elapsed()),
            _ => None,
        }
    }

    async fn take(&self, step: Step, object: Option<Value>, stored: &Stored, judge: &Judge) -> Result<Round, Failure> {
        let next = match (step, stored) {
            (Step::Wait, _) => return Ok(Round::Quiet),
            (Step::Create, _) => return self.create(&Kept::new(self.make(judge.now)?)).await,
            (Step::Prepare, Stored::Kept(kept)) => kept.prepared(self.make(judge.now)?),
            (Step::Promote, Stored::Kept(kept)) => kept.promoted(),
            (Step::Retire, Stored::Kept(kept)) => kept.retired(judge),
            // The last three are steps from contents that can be used, so this is always the first one.
            (Step::Replace | Step::Prepare | Step::Promote | Step::Retire, _) => Kept::new(self.make(judge.now)?),
        };
        let round = self.replace(object.unwrap_or_default(), &next).await?;
        if round == Round::Changed {
            tracing::info!(secret = %self.place.secret, ?step, "renewing the webhook's certificate");
        }
        Ok(round)
    }

    fn make(&self, now: Timestamp) -> Result<(Pair, Authority), PairError> {
        Pair::make(&[self.place.host()], now, self.pace.lifetime)
    }

    async fn read_secret(&self) -> Result<Option<Value>, Error> {
        found(self.client.send(Request::get(&SECRETS, &self.place.secret)).await)
    }

    async fn create(&self, kept: &Kept) -> Result<Round, Failure> {
        let key = &self.place.secret;
        let mut data = Map::new();
        kept.write_to(&mut data);
        let labels =
            json!({"app.kubernetes.io/name": "smooth-operator", "app.kubernetes.io/part-of": "smooth-operator"});
        let secret = json!({
            "apiVersion": SECRETS.api_version(),
            "kind": SECRETS.kind,
            "metadata": {"name": key.name(), "namespace": key.namespace(), "labels": labels},
            "type": "kubernetes.io/tls",
            "data": data,
        });
        let client = self.client.behind(Fence::always_open());
        match client.send::<Value>(Request::create(&SECRETS, key, &secret)).await {
            Ok(_created) => tracing::info!(secret = %key, "made a certificate for the webhook"),
            Err(error) if error.code() == 409 => tracing::debug!(secret = %key, "another instance was faster"),
            Err(error) => return Err(error.into()),
        }
        Ok(Round::Changed)
    }

    /// Replaces the contents of the Secret in exactly the state that was read: its uid and resourceVersion are in it.
    async fn replace(&self, mut object: Value, kept: &Kept) -> Result<Round, Failure> {
        let key = &self.place.secret;
        let mut data = object["data"].as_object().cloned().unwrap_or_default();
        kept.write_to(&mut data);
        let fields = object.as_object_mut().ok_or_else(|| Failure::Form(key.clone()))?;
        fields.insert("data".to_owned(), Value::Object(data));
        match self.client.send::<Value>(Request::replace(&SECRETS, key, &object)).await {
            Ok(_replaced) => Ok(Round::Changed),
            // It has changed meanwhile, is gone, or this instance has stopped leading: decide anew.
            Err(error) if matches!(error.code(), 404 | 409) => Ok(Round::Changed),
            Err(Error::Fenced { .. }) => Ok(Round::Quiet),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that the API server trusts everybody in `kept`, and notes since when it does.
    async fn tell(&mut self, kept: &Kept) -> Result<(), Error> {
        let key = &self.place.configuration;
        let configuration = found(self.client.send(Request::get(&WEBHOOK_CONFIGURATIONS, key)).await)?;
        if let Some(apply) = configuration.as_ref().and_then(|it| announcement(it, key, &kept.bundle())) {
            self.told = None;
            match self.client.send::<Value>(Request::apply(&WEBHOOK_CONFIGURATIONS, key, &apply)).await {
                Ok(_told) => {}
                // It was deleted and created again since it was read, or this instance has stopped leading. The next
                // round tells the new one, or leaves it to the new leader.
                Err(error) if error.code() == 409 || matches!(error, Error::Fenced { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
            tracing::info!(configuration = %key, "told the API server which authority vouches for the webhook");
        }
        if self.told.as_ref().is_none_or(|(told, _)| told != kept) {
            self.told = Some((kept.clone(), Instant::now()));
        }
        Ok(())
    }
}

/// The server-side apply that gives each webhook of a configuration this bundle; `None` if all of them have it. The rest
/// of the configuration belongs to whoever installed it. The uid makes sure that a configuration which was deleted a
/// moment ago is not created again, without its rules.
fn announcement(configuration: &Value, key: &ObjectKey, bundle: &str) -> Option<Value> {
    let bundle = encoded(bundle);
    let webhooks = configuration["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    if webhooks.iter().all(|webhook| webhook["clientConfig"]["caBundle"] == bundle) {
        return None;
    }
    let with_bundle = |webhook: &Value| json!({"name": webhook["name"], "clientConfig": {"caBundle": bundle}});
    Some(json!({
        "apiVersion": WEBHOOK_CONFIGURATIONS.api_version(),
        "kind": WEBHOOK_CONFIGURATIONS.kind,
        "metadata": {"name": key.name(), "uid": configuration["metadata"]["uid"]},
        "webhooks": webhooks.iter().map(with_bundle).collect::<Vec<Value>>(),
    }))
}

/// `None` for what does not exist.
fn found(answer: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.code() == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
