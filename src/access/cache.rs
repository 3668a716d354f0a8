//! Verdicts on tokens, for a short time. Pure: time comes in as a value.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::Verdict;

/// How long a token is let through without another question.
const ALLOWED_FOR: Duration = Duration::from_secs(60);
/// How long a token is refused without another question. Short: somebody may be creating the binding at this moment.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// How long a token that could not be asked about is refused without another question. Shorter than the time between two
/// scrapes, so that it costs none of them when the API server answers again.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// How many tokens are remembered. A few clients scrape; everything else is an attack.
const CAPACITY: usize = 256;

/// What is kept of a token: enough to recognise it, not enough to use it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The SHA-256 of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// The cache.
#[derive(Debug, Default)]
pub struct Cache(
    /// At most [`CAPACITY`] entries.
    BTreeMap<Fingerprint, Entry>,
);

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    until: Instant,
}

impl Cache {
    /// The verdict on this token, if it is fresh.
    pub fn get(&self, fingerprint: &Fingerprint, now: Instant) -> Option<Verdict> {
        self.0.get(fingerprint).filter(|entry| now < entry.until).map(|entry| entry.verdict.clone())
    }

    /// Remembers a verdict. If there are too many, the one that ends first is forgotten: refusals end sooner, so whoever
    /// tries one token after the other displaces other refusals.
    pub fn put(&mut self, fingerprint: Fingerprint, verdict: Verdict, now: Instant) {
        self.0.retain(|_, entry| now < entry.until);
        if self.0.len() >= CAPACITY {
            let first = self.0.iter().min_by_key(|(_, entry)| entry.until).map(|(fingerprint, _)| fingerprint.clone());
            first.map(|first| self.0.remove(&first));
        }
        let lifetime = match verdict {
            Verdict::Allowed => ALLOWED_FOR,
            Verdict::Unknown | Verdict::Forbidden(_) => REFUSED_FOR,
            Verdict::Unavailable => FAILED_FOR,
        };
        self.0.insert(fingerprint, Entry { verdict, until: now + lifetime });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_forgotten_after_its_time() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        let (good, bad) = (Fingerprint::of("good"), Fingerprint::of("bad"));
        cache.put(good.clone(), Verdict::Allowed, start);
        cache.put(bad.clone(), Verdict::Unknown, start);
        let moment = Duration::from_millis(1);
        assert_eq!(cache.get(&good, start + ALLOWED_FOR - moment), Some(Verdict::Allowed));
        assert_eq!(cache.get(&good, start + ALLOWED_FOR), None);
        assert_eq!(cache.get(&bad, start + REFUSED_FOR - moment), Some(Verdict::Unknown));
        assert_eq!(cache.get(&bad, start + REFUSED_FOR), None);
    }

    #[test]
    fn a_thousand_wrong_tokens_take_no_more_room_and_do_not_displace_a_good_one() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.put(Fingerprint::of("good"), Verdict::Allowed, now);
        for number in 0..1000 {
            cache.put(Fingerprint::of(&number.to_string()), Verdict::Unknown, now);
        }
        assert_eq!(cache.0.len(), CAPACITY);
        assert_eq!(cache.get(&Fingerprint::of("good"), now), Some(Verdict::Allowed));
        assert_eq!(cache.get(&Fingerprint::of("999"), now), Some(Verdict::Unknown));
    }

    #[test]
    fn a_token_can_not_be_read_from_the_cache() {
        let mut cache = Cache::default();
        cache.put(Fingerprint::of("hunter2"), Verdict::Allowed, Instant::now());
        assert!(!format!("{cache:?}").contains("hunter2"));
    }
}
