//! What the operator serves, and with which certificate.
//!
//! | site | without TLS | with TLS |
//! |---|---|---|
//! | health | always: the kubelet's probes | |
//! | metrics | by default | `--metrics-secure`: the given files, or a certificate that nobody verifies |
//! | webhook | | always: the given files, or the certificate in the Secret |
//!
//! Every instance serves everything, whether it leads or not.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::served::Served;
use super::{Error, Settings};
use crate::access::Gate;
use crate::admission::{AllowedRegistries, Reviewer};
use crate::client::{Client, Fence};
use crate::http::{BindAddress, Health, Server};
use crate::informer::Informer;
use crate::leader_election::config::hostname;
use crate::mcpserver::children::Secret;
use crate::object::ObjectKey;
use crate::telemetry::Metrics;
use crate::tls::{Files, Keeper, Pace, Place, Slot, own};

/// The settings of what is served over TLS; by default nothing.
#[derive(Debug, Clone, Default)]
pub struct Serving {
    /// Serve the metrics over TLS, to those who may read them.
    pub metrics_secure: bool,
    /// The certificate; otherwise the operator makes its own.
    pub certificate: Option<Files>,
    /// The webhook.
    pub webhook: Option<Webhook>,
}

/// The settings of the webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The address to listen on.
    pub address: BindAddress,
    /// The Service through which the API server calls it.
    pub service: ObjectKey,
    /// The registries that images may come from; `None` allows all.
    pub allowed_registries: Option<AllowedRegistries>,
    /// The times of its certificate's life, if the operator makes it.
    pub pace: Pace,
}

/// What is served, and what keeps it going.
pub(super) struct Sites {
    /// The servers. None of them ends before `stop`.
    pub(super) tasks: JoinSet<()>,
    /// Keeps the certificate of the webhook, if that is the operator's own.
    pub(super) keeper: Option<Keeper>,
}

/// Everything that is served begins here.
pub(super) struct Opening<'a> {
    pub(super) settings: &'a Settings,
    pub(super) client: &'a Client,
    pub(super) fence: &'a Fence,
    pub(super) metrics: &'a Metrics,
    pub(super) secrets: &'a Informer<Secret>,
    /// Which namespaces are served.
    pub(super) served: &'a Served,
    /// For jitter.
    pub(super) seed: u64,
    /// Ends everything.
    pub(super) stop: &'a CancellationToken,
}

impl Opening<'_> {
    /// Listens on all addresses and serves.
    pub(super) async fn serve(self) -> Result<Sites, Error> {
        let mut tasks = JoinSet::new();
        let files = self.follow_files(&mut tasks)?;
        let (webhook_slot, keeper) = self.webhook_certificate(files.as_ref())?;
        let servers = [
            self.metrics(files.as_ref(), &mut tasks).await?,
            self.webhook(&webhook_slot).await?,
            Server::bind(&self.settings.health, "--health-bind-address", self.health(&webhook_slot)).await?,
        ];
        for server in servers.into_iter().flatten() {
            tasks.spawn(server.run(self.stop.clone()));
        }
        Ok(Sites { tasks, keeper })
    }

    /// Reads the certificate from the given files, now and whenever they change.
    fn follow_files(&self, tasks: &mut JoinSet<()>) -> Result<Option<Slot>, Error> {
        let Some(files) = self.settings.serving.certificate.clone() else { return Ok(None) };
        let (pair, slot) = (files.read()?, Slot::default());
        slot.put(&pair);
        self.spawn(tasks, files.follow(slot.clone(), pair));
        Ok(Some(slot))
    }

    fn spawn(&self, tasks: &mut JoinSet<()>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(task).await.unwrap_or_default() });
    }

    async fn metrics(&self, files: Option<&Slot>, tasks: &mut JoinSet<()>) -> Result<Option<Server>, Error> {
        let server = Server::bind(&self.settings.metrics, "--metrics-bind-address", self.metrics.clone()).await?;
        let Some(server) = server else { return Ok(None) };
        if !self.settings.serving.metrics_secure {
            return Ok(Some(server));
        }
        let slot = match files {
            Some(slot) => slot.clone(),
            None => self.own_certificate(tasks)?,
        };
        Ok(Some(server.over_tls(slot.acceptor()?).behind(Gate::new(self.client))))
    }

    /// A certificate in memory, which is renewed in time.
    fn own_certificate(&self, tasks: &mut JoinSet<()>) -> Result<Slot, Error> {
        let (slot, names) = (Slot::default(), vec!["localhost".to_owned(), hostname()]);
        own::make(&names, &slot, &self.settings.surroundings.wall_clock)?;
        self.spawn(tasks, own::renew(names, slot.clone(), self.settings.surroundings.wall_clock.clone()));
        Ok(slot)
    }

    /// Where the webhook's certificate is, and who keeps it.
    fn webhook_certificate(&self, files: Option<&Slot>) -> Result<(Slot, Option<Keeper>), Error> {
        let (Some(webhook), None) = (&self.settings.serving.webhook, files) else {
            return Ok((files.cloned().unwrap_or_default(), None));
        };
        let (slot, place) = (Slot::default(), Place::of(webhook.service.clone()));
        let keeper = Keeper::new(
            self.client,
            self.fence.clone(),
            place,
            slot.clone(),
            webhook.pace,
            self.settings.surroundings.wall_clock.clone(),
            self.seed,
        )?;
        Ok((slot, Some(keeper)))
    }

    async fn webhook(&self, slot: &Slot) -> Result<Option<Server>, Error> {
        let Some(webhook) = &self.settings.serving.webhook else { return Ok(None) };
        let Webhook { address, service: _, allowed_registries, pace: _ } = webhook;
        let (secrets, synced) = (self.secrets.store(), self.secrets.synced());
        let namespaces = self.settings.namespaces.clone();
        let reviewer = Reviewer::new(allowed_registries.clone(), move |key| {
            let served = namespaces.is_empty() || namespaces.iter().any(|served| served == key.namespace());
            (served && synced.covers(key.namespace())).then(|| secrets.get(key).is_some())
        });
        let Some(server) = Server::bind(address, "--webhook-bind-address", reviewer).await? else { return Ok(None) };
        Ok(Some(server.over_tls(slot.acceptor()?)))
    }

    /// Ready means that a namespace is served, and that the webhook has its certificate. A follower is ready, too: it
    /// waits only for the Lease. The other namespaces are only told: a webhook that refuses, or a rollout that never ends,
    /// because of one namespace without a Role would be worse.
    fn health(&self, webhook_slot: &Slot) -> Health {
        let (ready, shortfall) = (self.served.clone(), self.served.clone());
        let health = Health::new()
            .with_check("informers-synced", move || ready.ready())
            .with_note("namespaces", move || shortfall.shortfall());
        let Some(webhook) = &self.settings.serving.webhook else { return health };
        let (slot, secret) = (webhook_slot.clone(), Place::of(webhook.service.clone()).secret);
        health.with_check("webhook-certificate", move || {
            if slot.is_empty() { Err(format!("waiting for the certificate in Secret {secret}")) } else { Ok(()) }
        })
    }
}
