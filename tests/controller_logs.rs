//! What the log says about failed reconciles. A test binary of its own: `tracing` caches for the whole process which
//! lines are wanted, so that other tests in it could switch these off.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use smooth_operator::controller::{Action, Controller, Error, Options, Reconcile, Stopped};
use smooth_operator::telemetry::Metrics;
use smooth_operator::workqueue::{RateLimit, Workqueue};

/// Writes spans and events down as `name field=value ...`.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use std::fmt::Write as _;
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().contains("controller") && *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(span.metadata().name().to_owned());
        span.record(&mut line);
        self.0.lock().unwrap().push(line.0);
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Fails in the way that its key says.
struct Fails;

impl Reconcile<&'static str> for Fails {
    async fn reconcile(&self, key: &&'static str) -> Result<Action, Error> {
        match *key {
            "panics" => panic!("on purpose"),
            "is wrong" => Err(Error::permanent("never")),
            _ => Err(Error::transient("no luck")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_is_one_line_in_a_span_with_the_key_and_the_id_of_the_run() {
    let recorder = Recorder::default();
    let _default = tracing::subscriber::set_default(recorder.clone());
    let metrics = Metrics::new();
    let queue = Workqueue::new(RateLimit::default(), metrics.queue("test"));
    for key in ["fails", "panics", "is wrong"] {
        queue.add(key);
    }
    let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
    let controller = Controller::new("test", queue, Arc::new(Fails), options, metrics.controller("test"));
    let stop = CancellationToken::new();
    let signal = async {
        // Each key has run by then, and none is due again.
        sleep(Duration::from_millis(1)).await;
        stop.cancel();
    };
    let ((), stopped) = tokio::join!(signal, controller.run(stop.clone()));
    assert_eq!(stopped, Stopped::InOrder);
    let expected = [
        "reconcile controller=\"test\" key=fails id=1",
        "WARN message=reconcile failed, will be retried error=no luck failures=1",
        "reconcile controller=\"test\" key=panics id=2",
        "ERROR message=reconcile panicked, will be retried panic=on purpose failures=1",
        "reconcile controller=\"test\" key=is wrong id=3",
        "WARN message=reconcile failed, waiting for the object to change error=never",
    ];
    assert_eq!(*recorder.0.lock().unwrap(), expected);
}
