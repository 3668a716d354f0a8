//! What clients asked: a bounded log for tests, and counters for benchmarks.
//!
//! Counting is one lookup in a map under a lock that nothing else needs, so it stays on at all times.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// At most so many single requests are remembered.
const MAX_RECORDS: usize = 50_000;

/// One HTTP request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// Who asked; empty where the credentials were no good.
    pub user: String,
    /// The `User-Agent`.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `apply`, `delete`, `deletecollection`.
    pub verb: String,
    /// `deployments.apps`, `pods` ...; the path where it names no resource.
    pub resource: String,
    /// `status`, `scale` or empty.
    pub subresource: String,
    /// Namespace; empty for cluster-wide requests.
    pub namespace: String,
    /// Name; empty for collections.
    pub name: String,
    /// The HTTP status.
    pub status: u16,
    /// The query, as sent.
    pub query: String,
}

/// How often a kind of request was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCount {
    /// The `User-Agent`.
    pub user_agent: String,
    /// See [`RequestRecord::verb`].
    pub verb: String,
    /// See [`RequestRecord::resource`].
    pub resource: String,
    /// See [`RequestRecord::subresource`].
    pub subresource: String,
    /// How many there were.
    pub count: u64,
}

/// The log and the counters.
#[derive(Debug, Default)]
pub(crate) struct Log {
    records: VecDeque<RequestRecord>,
    /// By user agent, verb, resource, subresource.
    counts: BTreeMap<[String; 4], u64>,
}

impl Log {
    pub(crate) fn push(&mut self, record: RequestRecord) {
        let key = [&record.user_agent, &record.verb, &record.resource, &record.subresource].map(String::clone);
        *self.counts.entry(key).or_default() += 1;
        if self.records.len() == MAX_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    pub(super) fn records(&self) -> Vec<RequestRecord> {
        self.records.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> Vec<RequestCount> {
        let counts = self.counts.iter().map(|([user_agent, verb, resource, subresource], count)| RequestCount {
            user_agent: user_agent.clone(),
            verb: verb.clone(),
            resource: resource.clone(),
            subresource: subresource.clone(),
            count: *count,
        });
        counts.collect()
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.counts.clear();
    }
}
