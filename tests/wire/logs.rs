//! What was logged while a test ran, on its own thread.
//!
//! The tasks of a test run on the test's thread, so a buffer for each thread keeps the tests apart. A subscriber for each
//! thread would, too, but not reliably: a log line that is reached for the first time asks once who listens, and one that asks while
//! another test's subscriber comes or goes can be told "nobody" for good. So there is one for all, there before the first line.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes sure that somebody listens. Whatever logs in these tests is started after it.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Writer).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The lines from INFO on with this in them.
pub(crate) fn lines_with(part: &str) -> Vec<String> {
    let text = TEXT.with_borrow(|text| String::from_utf8(text.clone()).unwrap());
    text.lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| text.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
