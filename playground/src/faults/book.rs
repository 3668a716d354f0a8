//! The decision: a request and the rules in, what happens to it out. No clock, no I/O.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Duration;

use super::asked::Asked;
use super::rule::{Fault, Rule, Times};

/// Names a rule that was put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(pub u64);

/// A rule in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its name.
    pub id: RuleId,
    /// What it says.
    pub rule: Rule,
    /// How often it has struck. Never more than `n` for a rule of the next `n`.
    pub struck: u64,
}

/// What happens to a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// It waits so long first.
    pub delay: Duration,
    /// Then this, if anything; never a [`Fault::Delay`].
    pub fault: Option<Fault>,
}

/// The rules in force, and where chance stands.
#[derive(Debug)]
pub(super) struct Book {
    /// In the order in which they are asked.
    rules: Vec<Standing>,
    /// The only source of chance: drawn from once for each rule of [`Times::Chance`] that is asked, and once for each
    /// delay that strikes.
    random: StdRng,
    next: u64,
    strikes: BTreeMap<&'static str, u64>,
}

impl Book {
    pub(super) fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), random: StdRng::seed_from_u64(seed), next: 1, strikes: BTreeMap::new() }
    }

    pub(super) fn reseed(&mut self, seed: u64) {
        self.random = StdRng::seed_from_u64(seed);
    }

    pub(super) fn add(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.rules.push(Standing { id, rule, struck: 0 });
        id
    }

    pub(super) fn remove(&mut self, id: RuleId) -> bool {
        let before = self.rules.len();
        self.rules.retain(|standing| standing.id != id);
        self.rules.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn standing(&self) -> Vec<Standing> {
        self.rules.clone()
    }

    pub(super) fn strikes(&self) -> &BTreeMap<&'static str, u64> {
        &self.strikes
    }

    pub(super) fn note(&mut self, class: &'static str, times: usize) {
        if times > 0 {
            *self.strikes.entry(class).or_default() += times as u64;
        }
    }

    /// Asks the rules in their order. All delays that strike add up; of the other faults the first that strikes is the
    /// one, and the rules behind it are not asked: what did not happen uses nothing up.
    pub(super) fn decide(&mut self, asked: &Asked) -> Verdict {
        let mut verdict = Verdict::default();
        for standing in &mut self.rules {
            let Standing { id: _, rule, struck } = standing;
            let about = rule.fault.concerns(asked) && rule.matcher.matches(asked);
            if !about || !strikes(rule.times, *struck, &mut self.random) {
                continue;
            }
            *struck += 1;
            *self.strikes.entry(rule.fault.class()).or_default() += 1;
            match &rule.fault {
                Fault::Delay { least, most } => verdict.delay += between(*least, *most, &mut self.random),
                fault => {
                    verdict.fault = Some(fault.clone());
                    return verdict;
                }
            }
        }
        verdict
    }
}

fn strikes(times: Times, struck: u64, random: &mut StdRng) -> bool {
    match times {
        Times::Next(n) => struck < u64::from(n),
        Times::Chance(probability) => random.random_bool(probability.clamp(0.0, 1.0)),
        Times::Always => true,
    }
}

fn between(least: Duration, most: Duration, random: &mut StdRng) -> Duration {
    let span = most.saturating_sub(least);
    least + span.mul_f64(random.random::<f64>())
}

#[cfg(test)]
mod tests;
