//! What was logged in a test.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::Subscriber;

use super::{LogFormat, subscriber};

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
