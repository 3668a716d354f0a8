//! What the Secret contains, and what to do about it. Pure: the contents, the time and what is known in; a step out.
//!
//! ```text
//!                            ┌──────────── due ────────────┐
//!   absent ──create──►  SETTLED ──prepare──► PREPARED ──promote──► OVERLAPPING ──retire──► SETTLED
//!   unusable ─replace─►                      (has next)            (trusts more than it needs)
//! ```
//!
//! The state is not stored as a word, which could contradict the certificates: it follows from them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Map, Value};
use tokio_rustls::rustls::pki_types::ServerName;

use super::pair::{Authority, Pair};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";

/// The times of a certificate's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often the Secret is read.
    pub poll: Duration,
    /// How soon it is read again after a change of our own; and while there is no certificate, at first.
    pub retry: Duration,
    /// How long a certificate is valid.
    pub lifetime: Duration,
    /// How long before its end a certificate is renewed.
    pub renew_before: Duration,
    /// How long everybody gets to learn of a step before the next one. Many polls, since a poll can fail.
    pub overlap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            poll: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            lifetime: 90 * DAY,
            renew_before: 30 * DAY,
            overlap: Duration::from_secs(10 * 60),
        }
    }
}

/// The state of the Secret.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// It does not exist.
    Absent,
    /// It exists, but its contents can't be used.
    Unusable,
    /// It contains a certificate.
    Kept(Kept),
}

/// The contents of the Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What is shown in handshakes.
    pub serving: Pair,
    /// Who is to be trusted. While everything is in order, they vouch for `serving` and `next`.
    pub trusted: Vec<Authority>,
    /// What will be shown next.
    pub next: Option<Pair>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for now.
    Wait,
    /// Create the Secret, with a new certificate.
    Create,
    /// Replace contents that can't be used, or a certificate that nobody accepts any more.
    Replace,
    /// Make the next certificate, and have its authority trusted.
    Prepare,
    /// Show the next certificate.
    Promote,
    /// Stop trusting authorities that nobody needs.
    Retire,
}

/// Judges certificates as a client does that calls this name now.
#[derive(Debug, Clone)]
pub struct Judge {
    /// The name that clients call.
    pub name: ServerName<'static>,
    /// The time of day.
    pub now: Timestamp,
}

/// What this instance knows besides the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether this instance may write.
    pub leads: bool,
    /// For how long, as far as this instance knows, the API server has trusted everybody in this very Secret; `None`
    /// if it does not yet.
    pub told_for: Option<Duration>,
}

/// Decides what to do next.
pub fn decide(stored: &Stored, judge: &Judge, standing: Standing, pace: &Pace) -> Step {
    match stored {
        // Any instance may: if two do, the API server refuses the second one. A follower has to serve, too, and can't
        // wait for the first leader, who comes a lease duration later.
        Stored::Absent => Step::Create,
        Stored::Unusable if standing.leads => Step::Replace,
        Stored::Kept(kept) if standing.leads => kept.decide(judge, standing.told_for, pace),
        Stored::Unusable | Stored::Kept(_) => Step::Wait,
    }
}

impl Kept {
    /// A new certificate, and nothing else.
    pub fn new((serving, authority): (Pair, Authority)) -> Self {
        Self { serving, trusted: vec![authority], next: None }
    }

    fn decide(&self, judge: &Judge, told_for: Option<Duration>, pace: &Pace) -> Step {
        let good = |pair: &Pair| self.is_good(pair, judge, Duration::ZERO);
        let overlapped = told_for.is_some_and(|time| time >= pace.overlap);
        let step_after_overlap = |step| if overlapped { step } else { Step::Wait };
        match &self.next {
            Some(next) if good(next) && good(&self.serving) => step_after_overlap(Step::Promote),
            // There is nothing to lose.
            Some(next) if good(next) => Step::Promote,
            _ if !good(&self.serving) => Step::Replace,
            // The next one has been spoilt: make another one.
            Some(_) => Step::Prepare,
            None if !self.is_good(&self.serving, judge, pace.renew_before) => Step::Prepare,
            None if self.needed(judge).len() < self.trusted.len() => step_after_overlap(Step::Retire),
            None => Step::Wait,
        }
    }

    /// Whether clients accept this certificate, after this time.
    fn is_good(&self, pair: &Pair, judge: &Judge, ahead: Duration) -> bool {
        judge.now.checked_add(ahead).is_ok_and(|at| pair.is_accepted(&self.trusted, &judge.name, at))
    }

    /// The authorities that vouch for a certificate that is or will be shown.
    fn needed(&self, judge: &Judge) -> Vec<Authority> {
        let pairs = || [Some(&self.serving), self.next.as_ref()].into_iter().flatten();
        let vouches =
            |authority: &&Authority| pairs().any(|pair| pair.is_accepted([*authority], &judge.name, judge.now));
        self.trusted.iter().filter(vouches).cloned().collect()
    }

    /// This with a next certificate. A next one that was there before is dropped, and with it its authority.
    #[must_use]
    pub fn prepared(&self, (next, authority): (Pair, Authority)) -> Self {
        let mut trusted = self.trusted.clone();
        trusted.push(authority);
        Self { serving: self.serving.clone(), trusted, next: Some(next) }
    }

    /// This with the next certificate in use. Its predecessor is still trusted: some replica may show it for a while.
    #[must_use]
    pub fn promoted(&self) -> Self {
        let serving = self.next.clone().unwrap_or_else(|| self.serving.clone());
        Self { serving, trusted: self.trusted.clone(), next: None }
    }

    /// This without the authorities that nobody needs.
    #[must_use]
    pub fn retired(&self, judge: &Judge) -> Self {
        Self { trusted: self.needed(judge), ..self.clone() }
    }

    /// All authorities in PEM: the `caBundle`.
    pub fn bundle(&self) -> String {
        self.trusted.iter().map(Authority::pem).collect()
    }

    /// Puts the contents into `data` of a Secret, and leaves what is not ours.
    pub fn write_to(&self, data: &mut Map<String, Value>) {
        let Self { serving, trusted: _, next } = self;
        let bundle = self.bundle();
        let contents = BTreeMap::from([
            (CERTIFICATE, Some(serving.certificate())),
            (KEY, Some(serving.key())),
            (AUTHORITIES, Some(bundle.as_str())),
            (NEXT_CERTIFICATE, next.as_ref().map(Pair::certificate)),
            (NEXT_KEY, next.as_ref().map(Pair::key)),
        ]);
        for (name, text) in contents {
            match text {
                Some(text) => data.insert(name.to_owned(), encoded(text)),
                None => data.remove(name),
            };
        }
    }
}

impl Stored {
    /// Reads a Secret. The errors of decoders quote what they can't read, so none leaves this function.
    pub fn read(secret: Option<&Value>) -> Self {
        let Some(secret) = secret else { return Self::Absent };
        let text = |name: &str| decoded(&secret["data"][name]);
        let pair = |certificate: &str, key: &str| Pair::read(&text(certificate)?, &text(key)?).ok();
        let trusted = text(AUTHORITIES).and_then(|text| Authority::read_all(&text));
        match (pair(CERTIFICATE, KEY), trusted) {
            (Some(serving), Some(trusted)) => {
                Self::Kept(Kept { serving, trusted, next: pair(NEXT_CERTIFICATE, NEXT_KEY) })
            }
            (None, _) | (_, None) => Self::Unusable,
        }
    }
}

/// A text in base64, the form of a Secret's data and of a `caBundle`.
pub fn encoded(text: &str) -> Value {
    // A byte string is a JSON string, always.
    serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap_or_default()
}

fn decoded(value: &Value) -> Option<String> {
    let ByteString(bytes) = serde_json::from_value(value.clone()).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NAME: &str = "hook.ops.svc";
    const LEADER: Standing = Standing { leads: true, told_for: None };
    const FOLLOWER: Standing = Standing { leads: false, told_for: Some(Duration::MAX) };

    fn start() -> Timestamp {
        "2026-11-23T08:00:00Z".parse().unwrap()
    }

    fn judge(after_days: u32) -> Judge {
        let now = start() + Duration::from_secs(24 * 3600) * after_days;
        Judge { name: ServerName::try_from(NAME).unwrap(), now }
    }

    fn made(after_days: u32) -> (Pair, Authority) {
        Pair::make(&[NAME.to_owned()], judge(after_days).now, Pace::default().lifetime).unwrap()
    }

    fn told(time: Duration) -> Standing {
        Standing { leads: true, told_for: Some(time) }
    }

    fn step(kept: &Kept, after_days: u32, standing: Standing) -> Step {
        decide(&Stored::Kept(kept.clone()), &judge(after_days), standing, &Pace::default())
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life_and_step_by_step() {
        let (overlap, almost) = (Pace::default().overlap, Duration::from_secs(599));
        let settled = Kept::new(made(0));
        assert_eq!(step(&settled, 59, told(Duration::MAX)), Step::Wait);
        assert_eq!(step(&settled, 61, LEADER), Step::Prepare);

        let prepared = settled.prepared(made(61));
        assert_eq!((&prepared.serving, prepared.trusted.len()), (&settled.serving, 2));
        for (standing, expected) in [(LEADER, Step::Wait), (told(almost), Step::Wait), (told(overlap), Step::Promote)] {
            assert_eq!(step(&prepared, 61, standing), expected, "{standing:?}");
        }
        let promoted = prepared.promoted();
        assert_eq!((Some(&promoted.serving), &promoted.trusted), (prepared.next.as_ref(), &prepared.trusted));
        for (standing, expected) in [(LEADER, Step::Wait), (told(almost), Step::Wait), (told(overlap), Step::Retire)] {
            assert_eq!(step(&promoted, 61, standing), expected, "{standing:?}");
        }
        let retired = promoted.retired(&judge(61));
        assert_eq!((&retired.serving, &retired.trusted[..]), (&promoted.serving, &prepared.trusted[1..]));
        assert_eq!(step(&retired, 61, told(Duration::MAX)), Step::Wait);
    }

    /// What any replica may show at any time: what the Secret says, or said one step before.
    #[test]
    fn whatever_is_shown_is_trusted_before_and_after_each_step() {
        let first = Kept::new(made(0));
        let second = first.prepared(made(61));
        let third = second.promoted();
        let fourth = third.retired(&judge(61));
        let steps = [first, second, third, fourth];
        for pair in steps.windows(2) {
            for (shown, trusted) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let (shown, trusted) = (&pair[shown].serving, &pair[trusted].trusted);
                assert!(shown.is_accepted(trusted, &judge(61).name, judge(61).now), "{pair:?}");
            }
        }
    }

    #[test]
    fn only_the_leader_writes_but_anybody_creates() {
        let kept = Kept::new(made(0));
        assert_eq!(decide(&Stored::Absent, &judge(0), FOLLOWER, &Pace::default()), Step::Create);
        assert_eq!(decide(&Stored::Unusable, &judge(0), FOLLOWER, &Pace::default()), Step::Wait);
        assert_eq!(decide(&Stored::Unusable, &judge(0), LEADER, &Pace::default()), Step::Replace);
        for (after_days, kept) in [(61, &kept), (91, &kept), (61, &kept.prepared(made(61)))] {
            assert_eq!(step(kept, after_days, FOLLOWER), Step::Wait);
        }
    }

    #[test]
    fn without_anything_to_lose_nothing_is_waited_for() {
        let kept = Kept::new(made(0));
        assert_eq!(step(&kept, 91, LEADER), Step::Replace);
        assert_eq!(step(&kept.prepared(made(61)), 91, LEADER), Step::Promote);
        let other_name = Judge { name: ServerName::try_from("other.ops.svc").unwrap(), ..judge(0) };
        let stored = Stored::Kept(kept);
        assert_eq!(decide(&stored, &other_name, told(Duration::MAX), &Pace::default()), Step::Replace);
    }

    #[test]
    fn a_next_certificate_that_is_spoilt_is_made_again() {
        let (kept, (next, _lost)) = (Kept::new(made(0)), made(61));
        let untrusted = Kept { next: Some(next), ..kept.clone() };
        assert_eq!(step(&untrusted, 61, told(Duration::MAX)), Step::Prepare);
        let again = untrusted.prepared(made(61));
        assert_eq!(step(&again, 61, told(Duration::MAX)), Step::Promote);
    }

    #[test]
    fn what_was_written_is_read_again_beside_what_others_have_written() {
        let kept = Kept::new(made(0)).prepared(made(61));
        let mut secret = json!({"metadata": {"name": "x"}, "data": {"other": "eA=="}});
        kept.write_to(secret["data"].as_object_mut().unwrap());
        assert_eq!(Stored::read(Some(&secret)), Stored::Kept(kept.clone()));
        kept.promoted().write_to(secret["data"].as_object_mut().unwrap());
        assert_eq!(Stored::read(Some(&secret)), Stored::Kept(kept.promoted()));
        assert_eq!(secret["data"]["other"], "eA==");
        assert_eq!(secret["data"].as_object().unwrap().len(), 4);
    }

    #[test]
    fn contents_that_can_not_be_used_are_unusable_whatever_they_are() {
        let mut good = json!({"data": {}});
        Kept::new(made(0)).write_to(good["data"].as_object_mut().unwrap());
        assert!(matches!(Stored::read(Some(&good)), Stored::Kept(_)));
        for name in [CERTIFICATE, KEY, AUTHORITIES] {
            for bad in [Value::Null, json!(7), json!("%"), json!("eA=="), json!("/w==")] {
                let mut secret = good.clone();
                secret["data"][name] = bad.clone();
                assert_eq!(Stored::read(Some(&secret)), Stored::Unusable, "{name}: {bad}");
            }
        }
        for secret in [json!({}), json!({"data": "x"}), json!(null)] {
            assert_eq!(Stored::read(Some(&secret)), Stored::Unusable);
        }
        assert_eq!(Stored::read(None), Stored::Absent);
    }
}
