//! The compact form, for command lines: `delay=50ms..500ms:0.3,error-500:0.05,cut-watches=5s`.

use std::str::FromStr;

use tokio::time::Duration;

use super::asked::Matcher;
use super::clockwork::{Beat, Lever};
use super::fields::{duration, no_duration};
use super::json::BREAKS;
use super::rule::{Age, Answer, Fault, Rule, Times};

/// The syntax, for `--help`.
pub const SYNTAX: &str = "\
Faults, separated by commas, each with a probability if it is not to strike every time (error-500:0.05):
  delay=50ms..500ms     a request waits, some time between the two (or delay=200ms)
  lose-request          the connection breaks before the server has seen the request
  lose-answer           the connection breaks after the server has done what was asked
  error-409, error-410, error-429, error-500, error-503
                        the server answers so: 409 to writes, 410 to lists and watches, the others to all
  stale=5               lists with resourceVersion=0 show the state before the last 5 writes; so do
                        watches that begin with a state, as far as they may
And what happens again and again, every so often:
  cut-watches=5s        all open watches break off
  end-watches=5s        ... end cleanly
  stall-watches=5m      ... fall silent
  half-line-watches=5s  ... send half of their next line, and end
  garbage-watches=5s    ... send a line that is no JSON in place of their next one
  compact=20s           the history is forgotten, so that watches from the past are answered 410 Expired
Durations: 50ms, 5s, 2m.";

/// What is wrong with a text in the compact form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{item:?}: {why}")]
pub struct ScriptError {
    item: String,
    why: String,
}

/// What is to go wrong from the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What happens to requests.
    pub rules: Vec<Rule>,
    /// What happens by itself.
    pub beats: Vec<Beat>,
}

impl Plan {
    /// Spares all clients but those whose `User-Agent` begins so. (History is forgotten for all.)
    #[must_use]
    pub fn only_for(mut self, user_agent: &str) -> Self {
        let beats = self.beats.iter_mut().map(|beat| &mut beat.matcher);
        for matcher in self.rules.iter_mut().map(|rule| &mut rule.matcher).chain(beats) {
            matcher.user_agent = Some(user_agent.to_owned());
        }
        self
    }
}

impl FromStr for Plan {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut plan = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            add(&mut plan, item).map_err(|why| ScriptError { item: item.to_owned(), why })?;
        }
        Ok(plan)
    }
}

fn add(plan: &mut Plan, item: &str) -> Result<(), String> {
    let (rest, times) = match item.split_once(':') {
        None => (item, None),
        Some((rest, probability)) => (rest, Some(Times::Chance(read_probability(probability)?))),
    };
    let (name, value) = match rest.split_once('=') {
        None => (rest, None),
        Some((name, value)) => (name, Some(value)),
    };
    if let Some(lever) = lever(name) {
        if times.is_some() {
            return Err(format!("{name} happens every so often and has no probability: {name}=5s"));
        }
        plan.beats.push(Beat { every: period(name, value)?, lever, matcher: Matcher::default() });
        return Ok(());
    }
    let rule = Rule::new(fault(name, value)?);
    plan.rules.push(Rule { times: times.unwrap_or(Times::Always), ..rule });
    Ok(())
}

fn read_probability(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("{text:?} is no probability from 0 to 1, such as 0.05"))
}

fn lever(name: &str) -> Option<Lever> {
    if name == "compact" {
        return Some(Lever::Compact);
    }
    let how = name.strip_suffix("-watches")?;
    BREAKS.iter().find(|(known, _)| *known == how).map(|(_, how)| Lever::Watches(*how))
}

fn period(name: &str, value: Option<&str>) -> Result<Duration, String> {
    let value = value.ok_or_else(|| format!("how often? Say {name}=5s"))?;
    duration(value).filter(|every| !every.is_zero()).ok_or_else(|| no_duration(value))
}

fn fault(name: &str, value: Option<&str>) -> Result<Fault, String> {
    let simple = match name {
        "delay" => return delay(value.ok_or("how long? Say delay=50ms..500ms, or delay=200ms")?),
        "stale" => {
            let value = value.ok_or("how many writes behind? Say stale=5")?;
            let writes = value.parse().map_err(|_| format!("{value:?} is no number of writes"))?;
            return Ok(Fault::Stale(Age::Behind(writes)));
        }
        "lose-request" => Fault::LoseRequest,
        "lose-answer" => Fault::LoseAnswer,
        "error-409" => Fault::Answer(Answer::Conflict),
        "error-410" => Fault::Answer(Answer::Gone),
        "error-429" => Fault::Answer(Answer::TooManyRequests { retry_after: 1 }),
        "error-500" => Fault::Answer(Answer::Internal),
        "error-503" => Fault::Answer(Answer::Unavailable),
        _ => return Err(format!("there is no such fault; there are {}", names().join(", "))),
    };
    match value {
        None => Ok(simple),
        Some(_) => Err(format!("{name} takes no value; a probability is said so: {name}:0.05")),
    }
}

fn names() -> Vec<String> {
    let faults = [
        "delay",
        "lose-request",
        "lose-answer",
        "error-409",
        "error-410",
        "error-429",
        "error-500",
        "error-503",
        "stale",
    ];
    let watches = BREAKS.iter().map(|(name, _)| format!("{name}-watches"));
    faults.into_iter().map(str::to_owned).chain(watches).chain(["compact".to_owned()]).collect()
}

fn delay(value: &str) -> Result<Fault, String> {
    let read = |text: &str| duration(text).ok_or_else(|| no_duration(text));
    let (least, most) = match value.split_once("..") {
        Some((least, most)) => (read(least)?, read(most)?),
        None => (read(value)?, read(value)?),
    };
    if most < least {
        return Err(format!("{value:?}: the second is less than the first"));
    }
    Ok(Fault::Delay { least, most })
}

#[cfg(test)]
mod tests;
