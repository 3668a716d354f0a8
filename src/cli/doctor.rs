//! `smooth-operator doctor`: can the operator run in this cluster, and if not, why not?
//!
//! # The naive solution, and how it breaks
//!
//! Run it and read the log. But a missing permission shows only when it is needed: without `patch services` everything
//! looks fine until somebody creates an MCPServer on a Friday evening. And a CRD of last year works, too, except for the
//! fields that it silently drops.
//!
//! # The mechanism
//!
//! ```text
//!  the flags of `run` ──► what `run` would need ──► questions ──► answers ──► Finding ──► a line of the table
//!                         (permissions::needed)     (thin)        (values)    (pure)
//! ```
//!
//! The doctor takes the flags of `run`, since what is needed depends on them: leader election needs a Lease,
//! `--namespaces` needs Roles instead of a ClusterRole. Each question is one request, and each answer is judged by a
//! pure function. A question that can't be asked is `unknown`, and says which permission the *doctor* lacks: that is no
//! fault of the operator's.
//!
//! # What it does not promise
//!
//! That it speaks for the operator: it asks as whoever its kubeconfig names. To examine the operator's own permissions,
//! run it as the operator, in its pod or with a token of its service account.
//!
//! Nor does it ask without end: each request has [a few seconds](PATIENCE), all together have [half a
//! minute](ALTOGETHER), and of [many permissions](permissions::MOST) only the first are asked for. What was not asked is
//! `unknown`.

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
use tokio::time::Instant;

use super::cluster::{ClusterArgs, LeaseArgs, greet};
use crate::client::{Client, Error, Request};
use crate::object::{LEASES, ObjectKey};
use finding::{Finding, Verdict};

/// The longest time for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// After this time no further permission is asked for.
const ALTOGETHER: Duration = Duration::from_secs(30);

/// The flags of `doctor`, which mean what they mean to `run`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    lease: LeaseArgs,
}

/// Examines the cluster and prints what it finds. The exit code says whether something is wrong.
///
/// # Errors
///
/// There is no cluster to examine; one line says why, and how to fix it.
pub async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let DoctorArgs { cluster, lease } = args;
    lease.timing()?;
    let mut connection = cluster.connect().await?;
    connection.client = connection.client.with_timeout(PATIENCE);
    let version = greet(&connection).await?;
    let key = lease.key(&connection.namespace);
    let election = lease.leader_elect().then(|| key.clone());
    let (client, until) = (&connection.client, Instant::now() + ALTOGETHER);

    let mut findings = vec![version::judge(&version)];
    findings.extend(definition_of(client).await);
    findings.extend(permissions::examine(client, cluster.namespaces(), election.as_ref(), until).await);
    findings.push(holder_of(client, &key, lease.leader_elect()).await);
    findings.extend(webhook::examine(client).await);
    super::print(&finding::table(&findings))?;
    let wrong = findings.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn definition_of(client: &Client) -> Vec<Finding> {
    match client.send::<Value>(Request::get_path(definition::PATH)).await {
        Ok(found) => definition::judge(&crate::api::crd::definition(), &found),
        Err(error) if error.code() == 404 => vec![definition::absent()],
        Err(error) => vec![unable(definition::WHAT, &error, "get customresourcedefinitions.apiextensions.k8s.io")],
    }
}

async fn holder_of(client: &Client, key: &ObjectKey, used: bool) -> Finding {
    match client.send::<Lease>(Request::get(&LEASES, key)).await {
        Ok(found) => lease::judge(key, Some(&found), used, Timestamp::now()),
        Err(error) if error.code() == 404 => lease::judge(key, None, used, Timestamp::now()),
        Err(error) => unable(lease::WHAT, &error, &format!("get leases.coordination.k8s.io {key}")),
    }
}

/// The doctor could not look. Its own permissions are not the operator's, so this is not wrong.
fn unable(what: &str, error: &Error, needs: &str) -> Finding {
    let why = match error.code() {
        403 => format!("you may not look there; to examine it, you need: {needs}"),
        _ => error.to_string(),
    };
    Finding::unknown(what, why)
}
