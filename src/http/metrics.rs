//! `/metrics`: what Prometheus scrapes.

use http::StatusCode;

use super::{Answer, Site};
use crate::telemetry::{Metrics, OPENMETRICS};

impl Site for Metrics {
    fn answer(&self, path: &str, _query: Option<&str>) -> Option<Answer> {
        match path {
            "/metrics" => Some(scrape(self)),
            _ => None,
        }
    }
}

fn scrape(metrics: &Metrics) -> Answer {
    match metrics.render() {
        Ok(body) => Answer { status: StatusCode::OK, content_type: OPENMETRICS, body },
        Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the metrics: {error}\n")),
    }
}
