//! stub
#![allow(missing_docs, clippy::all, clippy::pedantic)]
#[derive(Debug, thiserror::Error)]
#[error("bind")]
pub struct BindError;
pub async fn serve_metrics(_: &str, _: crate::telemetry::Metrics, _: &mut tokio::task::JoinSet<()>, _: &tokio_util::sync::CancellationToken) -> Result<(), BindError> { Ok(()) }
pub async fn serve_health(_: &str, _: (), _: &mut tokio::task::JoinSet<()>, _: &tokio_util::sync::CancellationToken) -> Result<(), BindError> { Ok(()) }
