//! The flags that say which cluster, which part of it, and which Lease; and the first words with that cluster.
//!
//! `run` and `doctor` take the same flags with the same meaning, or the doctor would examine something else than what
//! runs. So they are declared once, here.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};
use serde_json::Value;

use super::Cli;
use super::values::{Namespaces, duration, label, namespaces};
use crate::client::{Connection, Request, Target, connect};
use crate::leader_election::Timing;
use crate::leader_election::config::InvalidTiming;
use crate::object::ObjectKey;

/// Which cluster, and which part of it.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// The kubeconfig; otherwise $KUBECONFIG, ~/.kube/config, or the service account of the pod.
    #[arg(long, value_name = "FILE", env = "SMOOTH_OPERATOR_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; otherwise the current one.
    #[arg(long, value_name = "NAME", env = "SMOOTH_OPERATOR_CONTEXT")]
    context: Option<String>,
    /// The namespaces to serve, separated by commas, or `all`. Nothing outside of them is ever requested.
    #[arg(long, value_name = "A,B|all", default_value = "all", env = "SMOOTH_OPERATOR_NAMESPACES", value_parser = namespaces)]
    namespaces: Namespaces,
}

impl ClusterArgs {
    /// The namespaces to serve; none means all.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces.0
    }

    /// Makes the client. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// There is no usable configuration; one line says why, and how to fix it.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let Self { kubeconfig, context, namespaces: _ } = self;
        connect(&Target { kubeconfig: kubeconfig.clone(), context: context.clone() }).await.map_err(complete)
    }
}

/// Which Lease, and how it is held.
#[derive(Debug, Args)]
pub struct LeaseArgs {
    /// Act only while holding a Lease, so that several instances can stand by.
    #[arg(long, env = "SMOOTH_OPERATOR_LEADER_ELECT", value_parser = BoolishValueParser::new(), help_heading = "Leader election")]
    leader_elect: bool,
    /// The namespace of the Lease; otherwise the namespace of the pod, or of the kubeconfig's context.
    #[arg(long, value_name = "NAME", env = "SMOOTH_OPERATOR_LEASE_NAMESPACE", value_parser = label, help_heading = "Leader election")]
    lease_namespace: Option<String>,
    /// The name of the Lease.
    #[arg(long, value_name = "NAME", default_value = "smooth-operator", env = "SMOOTH_OPERATOR_LEASE_NAME", value_parser = label, help_heading = "Leader election")]
    lease_name: String,
    /// After this time without a renewal another instance may lead.
    #[arg(long, value_name = "TIME", default_value = "15s", env = "SMOOTH_OPERATOR_LEASE_DURATION", value_parser = duration, help_heading = "Leader election")]
    lease_duration: Duration,
    /// After this time without a renewal this instance gives up.
    #[arg(long, value_name = "TIME", default_value = "10s", env = "SMOOTH_OPERATOR_RENEW_DEADLINE", value_parser = duration, help_heading = "Leader election")]
    renew_deadline: Duration,
    /// The time between two attempts to renew or to take the Lease.
    #[arg(long, value_name = "TIME", default_value = "2s", env = "SMOOTH_OPERATOR_RETRY_PERIOD", value_parser = duration, help_heading = "Leader election")]
    retry_period: Duration,
}

impl LeaseArgs {
    /// Whether a Lease is used at all.
    pub fn leader_elect(&self) -> bool {
        self.leader_elect
    }

    /// The Lease. `namespace` is that of the pod or the context.
    pub fn key(&self, namespace: &str) -> ObjectKey {
        ObjectKey::new(self.lease_namespace.as_deref().unwrap_or(namespace), self.lease_name.as_str())
    }

    /// The durations.
    ///
    /// # Errors
    ///
    /// They don't fit together, which is a mistake of usage.
    pub fn timing(&self) -> anyhow::Result<Timing> {
        let timing = Timing::new(self.lease_duration, self.renew_deadline, self.retry_period);
        timing.map_err(|InvalidTiming(violations)| {
            let why: Vec<String> = violations.iter().map(ToString::to_string).collect();
            usage(&format!(
                "--lease-duration, --renew-deadline and --retry-period don't fit together: {}",
                why.join("; ")
            ))
        })
    }
}

/// Asks for the version. As the first request it shows at once whether the cluster can be reached; otherwise people
/// would have to conclude it from a series of retries.
///
/// # Errors
///
/// Nobody answers there, or not us; one line says why, and how to fix it.
pub(super) async fn greet(connection: &Connection) -> anyhow::Result<String> {
    match connection.client.send::<Value>(Request::get_path("/version")).await {
        Ok(version) => Ok(version["gitVersion"].as_str().unwrap_or("unknown").to_owned()),
        Err(error) if error.status().is_none() => bail!(
            "no cluster at {}: {error}; check that it is running, and that this is the right context (`kubectl config current-context`)",
            connection.server
        ),
        Err(error) => bail!("the cluster at {} refused the first request: {error}", connection.server),
    }
}

/// An error whose message contains its causes and ends with how to fix it. Without its sources, because `main` would
/// append them once more, after the end.
pub(super) fn complete(error: impl std::error::Error) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}

/// A mistake in a combination of flags. It ends the program like every other usage error.
pub(super) fn usage(message: &str) -> anyhow::Error {
    Cli::command().error(ErrorKind::ValueValidation, message).into()
}
