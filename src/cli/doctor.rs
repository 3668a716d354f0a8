//! `smooth-operator doctor`: can the operator run in this cluster, and if not, why not?
//!
//! # The naive solution, and how it breaks
//!
//! Run it and read the log. But a missing permission shows only when it is needed: without `patch services` everything
//! looks fine until somebody creates an MCPServer on a Friday evening. And a CRD of last year works, too, except for
//! the fields that it silently drops.
//!
//! # The mechanism
//!
//! ```text
//!  the flags of `run` ──► what `run` would need ──► questions ──► answers ──► Finding ──► a line of the table
//!                         (permissions::needed)     (thin)        (values)    (pure)
//! ```
//!
//! The doctor takes the flags of `run`, since what is needed depends on them: leader election needs a Lease,
//! `--namespaces` needs Roles instead of a ClusterRole, the webhook a Secret for its certificate, and
//! `--metrics-secure` the right to ask about others. It does not conclude any of this from the cluster: a webhook that is
//! installed may be somebody else's, and the flags of an operator that runs need not be those of the next one. Each question is one request, and each answer is judged by a
//! pure function. A question that can't be asked is `unknown`, and says which permission the *doctor* lacks: that is no
//! fault of the operator's.
//!
//! # What it does not promise
//!
//! That it speaks for the operator: it asks as whoever its kubeconfig names. To examine the operator's own permissions,
//! run it as the operator, in its pod or with a token of its service account.
//!
//! Nor does it ask without end: each request has [a few seconds](PATIENCE), all together
//! [half a minute](ALTOGETHER), and of [very many](permissions::MOST) permissions only the first are asked for. What was
//! not asked is `unknown`.

pub mod definition;
pub mod finding;
pub mod lease;
pub mod permissions;
pub mod version;
pub mod webhook;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::cluster::{ClusterArgs, LeaseArgs, greet};
use super::serving::ServingArgs;
use crate::client::{Client, Error, Request};
use crate::object::{LEASES, ObjectKey};
use crate::tls::Place;
use finding::{Finding, Verdict};
use permissions::Duties;

/// The longest time for one request.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The longest time for all of them, after the first one has shown that somebody is there.
pub const ALTOGETHER: Duration = Duration::from_secs(30);

/// The flags of `doctor`, which mean what they mean to `run`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    lease: LeaseArgs,
    #[command(flatten)]
    serving: ServingArgs,
}

/// Examines the cluster and prints what it finds. The exit code says whether something is wrong.
///
/// # Errors
///
/// There is no cluster to examine; one line says why, and how to fix it.
pub async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let DoctorArgs { cluster, lease, serving } = args;
    lease.timing()?;
    let mut connection = cluster.connect().await?;
    connection.client = connection.client.with_timeout(PATIENCE);
    let version = greet(&connection).await?;
    let namespace = &connection.namespace;
    let key = lease.key(namespace);
    let makes_certificate = serving.webhook().is_some() && serving.certificate().is_none();
    let duties = Duties {
        namespaces: cluster.namespaces().to_vec(),
        lease: lease.leader_elect().then(|| key.clone()),
        webhook: makes_certificate.then(|| Place::of(serving.service(namespace))),
        metrics_secure: serving.metrics_secure(),
    };
    let mut findings = vec![version::judge(&version)];
    findings.extend(Box::pin(examine(&connection.client, &duties, &key)).await);
    super::print(&finding::table(&findings))?;
    let wrong = findings.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything but the version. All is asked at the same time, so that what is silent leaves time for the rest.
async fn examine(client: &Client, duties: &Duties, lease: &ObjectKey) -> Vec<Finding> {
    let until = Instant::now() + ALTOGETHER;
    let (definition, permissions, holder, webhook) = tokio::join!(
        in_time(until, definition::WHAT, definition_of(client)),
        permissions::examine(client, duties, until),
        in_time(until, lease::WHAT, holder_of(client, lease, duties.lease.is_some())),
        in_time(until, webhook::WHAT, webhook::examine(client)),
    );
    [definition, permissions, holder, webhook].concat()
}

async fn in_time(until: Instant, what: &str, examined: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let late = |_elapsed| vec![Finding::unknown(what, "there was no answer in time")];
    timeout_at(until, examined).await.unwrap_or_else(late)
}

async fn definition_of(client: &Client) -> Vec<Finding> {
    match client.send::<Value>(Request::get_path(definition::PATH)).await {
        Ok(found) => definition::judge(&crate::api::crd::definition(), &found),
        Err(error) if error.code() == 404 => vec![definition::absent()],
        Err(error) => vec![unable(definition::WHAT, &error, "get customresourcedefinitions.apiextensions.k8s.io")],
    }
}

async fn holder_of(client: &Client, key: &ObjectKey, used: bool) -> Vec<Finding> {
    vec![match client.send::<Lease>(Request::get(&LEASES, key)).await {
        Ok(found) => lease::judge(key, Some(&found), used, Timestamp::now()),
        Err(error) if error.code() == 404 => lease::judge(key, None, used, Timestamp::now()),
        Err(error) => unable(lease::WHAT, &error, &format!("get leases.coordination.k8s.io {key}")),
    }]
}

/// The doctor could not look. Its own permissions are not the operator's, so this is not wrong.
fn unable(what: &str, error: &Error, needs: &str) -> Finding {
    let why = match error.code() {
        403 => format!("you may not look there; to examine it, you need: {needs}"),
        _ => error.to_string(),
    };
    Finding::unknown(what, why)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use kube_client::client::Body;

    use super::*;

    /// It took as long as all its requests together.
    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_falls_silent_is_waited_for_half_a_minute_at_most() {
        let silent = |_: http::Request<Body>| std::future::pending::<Result<http::Response<Body>, Infallible>>();
        let client = Client::new(kube_client::Client::new(tower::service_fn(silent), "default"));
        for client in [client.with_timeout(PATIENCE), client.with_timeout(10 * ALTOGETHER)] {
            let namespaces = (0..100).map(|number| format!("team-{number}")).collect();
            let duties = Duties { namespaces, ..Duties::default() };
            let started = Instant::now();
            let findings = Box::pin(examine(&client, &duties, &ObjectKey::new("ops", "smooth-operator"))).await;
            assert!(started.elapsed() <= ALTOGETHER, "{:?}", started.elapsed());
            assert!(findings.len() > 100 && findings.iter().all(|it| it.verdict == Verdict::Unknown));
        }
    }
}
