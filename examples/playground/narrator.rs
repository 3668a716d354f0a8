//! Tells what happens in the cluster, one line for each thing that people would notice.
//!
//! Each kind has its words ([`words`](crate::words)): a function from an object to what is to be said of it. A line is
//! printed where that differs from what was said last, so a change that nobody would notice is not told.

use std::collections::BTreeMap;

use playground::Cluster;
use playground::cluster::{WatchCursor, WatchEvent};
use playground::storage::EventKind;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::samples::text;
use crate::words::{self, Words};

/// The width of a line.
const WIDTH: usize = 100;
/// Where the words begin: after the time and the object.
const INDENT: usize = 47;

/// Tells what happens.
pub(crate) struct Narrator {
    cluster: Cluster,
    begun: Instant,
    /// What was said last of each object and of each aspect of it.
    said: BTreeMap<(String, usize), String>,
}

impl Narrator {
    /// Will tell of this cluster; the time is counted from here.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), begun: Instant::now(), said: BTreeMap::new() }
    }

    /// Tells until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let from = self.cluster.revision();
        let cursors = words::KINDS.map(|kind| self.cluster.watch(kind.resource, from));
        let [Ok(mut servers), Ok(mut deployments), Ok(mut services), Ok(mut pods), Ok(mut secrets), Ok(mut events)] =
            cursors
        else {
            return;
        };
        loop {
            // In this order, so that of what happened at the same time the cause is told before its effect.
            let (kind, change) = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                change = next(&mut secrets) => (4, change),
                change = next(&mut servers) => (0, change),
                change = next(&mut deployments) => (1, change),
                change = next(&mut services) => (2, change),
                change = next(&mut pods) => (3, change),
                change = next(&mut events) => (5, change),
            };
            match change {
                Some(change) => self.tell(&words::KINDS[kind], &change),
                None => return println!("(too much has happened at once: nothing more is told)"),
            }
        }
    }

    fn tell(&mut self, kind: &Words, change: &WatchEvent) {
        let object = &*change.object;
        let name = format!("{}{}", kind.short, (kind.name)(object));
        let identity = format!("{}{}", kind.short, text(object, "/metadata/uid"));
        if change.kind == EventKind::Deleted {
            self.said.retain(|(known, _aspect), _| *known != identity);
            if let Some(gone) = kind.gone {
                self.line(&name, gone);
            }
            return;
        }
        for (aspect, say) in kind.say.iter().enumerate() {
            let Some(now) = say(object) else { continue };
            let before = self.said.insert((identity.clone(), aspect), now.clone());
            if before.as_ref() != Some(&now) {
                self.line(&name, &now);
            }
        }
    }

    fn line(&self, name: &str, words: &str) {
        let time = self.begun.elapsed().as_secs_f64();
        let head = format!("{time:>7.1}s  {name}");
        // A long name gets a line of its own rather than pushing the words out of their column.
        if head.len() >= INDENT {
            println!("{head}");
            println!("{}", wrapped("", words));
        } else {
            println!("{}", wrapped(&head, words));
        }
    }
}

/// The words beside `head`, in lines of [`WIDTH`].
fn wrapped(head: &str, words: &str) -> String {
    let mut text = format!("{head:INDENT$}");
    let mut width = INDENT;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if width > INDENT && width + length >= WIDTH {
            text = format!("{}\n{:INDENT$}", text.trim_end(), "");
            width = INDENT;
        }
        text.push_str(word);
        text.push(' ');
        width += length + 1;
    }
    text.trim_end().to_owned()
}

/// The next change; `None` where the reader was so slow that the history has gone on without it.
async fn next(cursor: &mut WatchCursor) -> Option<WatchEvent> {
    cursor.next().await.ok()
}

/// What an object is called where it stands: without the namespace where that is the usual one.
pub(crate) fn plain_name(object: &Value) -> String {
    match (text(object, "/metadata/namespace"), text(object, "/metadata/name")) {
        ("default" | "", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}
