//! What is served over TLS: the flags of `run` of which permissions depend, so that `doctor` takes them, too.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::values::label;
use crate::http::BindAddress;
use crate::object::ObjectKey;
use crate::tls::Files;

/// The webhook, the secured metrics, and their certificate.
#[derive(Debug, Args)]
pub struct ServingArgs {
    /// The address to serve the validating webhook on, over TLS; 0 disables it.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "0",
        env = "SMOOTH_OPERATOR_WEBHOOK_BIND_ADDRESS",
        help_heading = "Listening"
    )]
    webhook_bind_address: BindAddress,
    /// The Service through which the API server calls the webhook, in the namespace of the pod or the context.
    #[arg(long, value_name = "NAME", default_value = "smooth-operator-webhook", env = "SMOOTH_OPERATOR_WEBHOOK_SERVICE_NAME", value_parser = label, help_heading = "TLS")]
    webhook_service_name: String,
    /// Serve /metrics over TLS, to clients whose token may get it.
    #[arg(long, env = "SMOOTH_OPERATOR_METRICS_SECURE", value_parser = BoolishValueParser::new(), help_heading = "TLS")]
    metrics_secure: bool,
    /// The certificate for the webhook and the metrics, in PEM; read again when it changes. Otherwise the operator makes
    /// its own.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key_file",
        env = "SMOOTH_OPERATOR_TLS_CERT_FILE",
        help_heading = "TLS"
    )]
    tls_cert_file: Option<PathBuf>,
    /// The private key of the certificate.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert_file",
        env = "SMOOTH_OPERATOR_TLS_KEY_FILE",
        help_heading = "TLS"
    )]
    tls_key_file: Option<PathBuf>,
}

impl ServingArgs {
    /// Where the webhook listens; `None` if there is none.
    pub fn webhook(&self) -> Option<&BindAddress> {
        Some(&self.webhook_bind_address).filter(|address| **address != BindAddress::Disabled)
    }

    /// The Service of the webhook. `namespace` is that of the pod or the context.
    pub fn service(&self, namespace: &str) -> ObjectKey {
        ObjectKey::new(namespace, self.webhook_service_name.as_str())
    }

    /// Whether the metrics are only for those who may read them.
    pub fn metrics_secure(&self) -> bool {
        self.metrics_secure
    }

    /// The certificate that was given; otherwise the operator makes its own.
    pub fn certificate(&self) -> Option<Files> {
        let (certificate, key) = self.tls_cert_file.clone().zip(self.tls_key_file.clone())?;
        Some(Files { certificate, key })
    }
}
