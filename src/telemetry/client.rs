//! `rest_client_*`: the metrics of client-go's REST client.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The code that client-go uses for a request without an answer.
const NO_ANSWER: &str = "<error>";
/// The codes of success, by method. Their series and those of [`NO_ANSWER`] exist at 0 from the start. Which other
/// codes a server will answer with is not known, so the series of those appear with the first such answer.
const EXPECTED: [(&str, &[&str]); 5] =
    [("GET", &["200"]), ("POST", &["201"]), ("PUT", &["200"]), ("PATCH", &["200", "201"]), ("DELETE", &["200"])];

/// The metrics of the requests to one host.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    host: String,
    requests: Family<RequestLabels, Counter>,
    duration: Family<DurationLabels, Histogram>,
}

impl ClientMetrics {
    /// A request was answered with this HTTP status; its headers arrived after `duration`. `method` is the HTTP
    /// method (`GET`), as in client-go.
    pub fn answered(&self, method: &str, status: u16, duration: Duration) {
        self.request(method, status.to_string(), duration);
    }

    /// A request got no answer: connection refused, timeout, connection lost.
    pub fn failed(&self, method: &str, duration: Duration) {
        self.request(method, NO_ANSWER.to_owned(), duration);
    }

    fn request(&self, method: &str, code: String, duration: Duration) {
        let (method, host) = (method.to_owned(), self.host.clone());
        self.requests.get_or_create(&RequestLabels { code, method: method.clone(), host: host.clone() }).inc();
        self.duration.get_or_create(&DurationLabels { verb: method, host }).observe(duration.as_secs_f64());
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    code: String,
    method: String,
    host: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    host: String,
}

#[derive(Debug)]
pub(super) struct Families {
    requests: Family<RequestLabels, Counter>,
    duration: Family<DurationLabels, Histogram>,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self { requests: Family::default(), duration: Family::new_with_constructor(buckets) };
        let Self { requests, duration } = &families;
        registry.register(
            "rest_client_requests",
            "Number of HTTP requests, partitioned by status code, method, and host",
            requests.clone(),
        );
        registry.register(
            "rest_client_request_duration_seconds",
            "Request latency in seconds. Broken down by verb, and host",
            duration.clone(),
        );
        families
    }

    pub(super) fn handle(&self, host: &str) -> ClientMetrics {
        let Self { requests, duration } = self;
        for (method, codes) in EXPECTED {
            let (method, host) = (method.to_owned(), host.to_owned());
            for code in codes.iter().chain([&NO_ANSWER]) {
                let code = (*code).to_owned();
                drop(requests.get_or_create(&RequestLabels { code, method: method.clone(), host: host.clone() }));
            }
            drop(duration.get_or_create(&DurationLabels { verb: method, host }));
        }
        ClientMetrics { host: host.to_owned(), requests: requests.clone(), duration: duration.clone() }
    }
}

/// The buckets of component-base's `metrics/prometheus/restclient/metrics.go`, in seconds.
fn buckets() -> Histogram {
    Histogram::new([0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0])
}
