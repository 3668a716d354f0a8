//! What was logged in a test.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Subscriber};

use super::{LogFormat, subscriber};

/// While there is only one subscriber, tracing asks the thread that first comes by a line whether anybody listens, and
/// remembers the answer for all threads. So with one test that listens, the others would silence it.
static OTHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));

/// Where the lines of a test end up.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<u8>>>);

impl io::Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Heard {
    /// Writes here what passes the filter.
    pub(crate) fn subscriber(&self, format: LogFormat, filter: &str) -> Box<dyn Subscriber + Send + Sync> {
        LazyLock::force(&OTHERS);
        let writer = self.clone();
        subscriber(format, &filter.parse().unwrap(), false, move || writer.clone())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines, where the format is JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
