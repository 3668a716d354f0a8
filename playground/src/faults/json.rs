//! Rules as JSON, for those who drive a playground over HTTP.
//!
//! ```json
//! {"seed": 7, "rules": [
//!   {"verb": "apply", "resource": "deployments.apps", "namespace": "default", "name": "x", "userAgent": "smooth-operator/",
//!    "fault": {"type": "answer", "code": 429, "retryAfter": 2}, "next": 3},
//!   {"fault": {"type": "delay", "least": "50ms", "most": "500ms"}, "probability": 0.3},
//!   {"verb": "watch", "fault": {"type": "watch", "how": "half-line", "afterLines": 4}}
//! ]}
//! ```
//!
//! Neither `next` nor `probability`: always. The types of faults: `delay` (least, most), `lose-request`, `lose-answer`,
//! `answer` (code, retryAfter), `quota` (name, used, limit), `policy` (name, binding, message), `watch` (how; code of an
//! error; afterLines or after), `stale` (behind or revision).

use serde_json::{Map, Value, json};

use super::asked::{Matcher, Verb};
use super::book::Standing;
use super::fields::{Fields, Wrong, duration_text};
use super::rule::{Age, Answer, Break, Fault, Moment, Policy, Quota, Rule, Times};
use crate::status::Status;

/// Reads rules, and the seed if there is one; a 400 that names the field where they are wrong.
pub fn rules(body: &Value) -> Result<(Option<u64>, Vec<Rule>), Status> {
    read(body).map_err(|wrong| Status::bad_request(wrong.to_string()))
}

/// Reads a matcher; the 400 likewise. Nothing at all matches everything.
pub(crate) fn matcher(body: &Value) -> Result<Matcher, Status> {
    if body.is_null() {
        return Ok(Matcher::default());
    }
    let read = |body| {
        let mut fields = Fields::of("", body)?;
        let matcher = read_matcher(&mut fields)?;
        fields.end().map(|()| matcher)
    };
    read(body).map_err(|wrong: Wrong| Status::bad_request(wrong.to_string()))
}

fn read(body: &Value) -> Result<(Option<u64>, Vec<Rule>), Wrong> {
    let mut fields = Fields::of("", body)?;
    let seed = fields.number("seed")?;
    let rules = fields.value("rules");
    let rules = fields.required("rules", rules)?;
    let rules = rules.as_array().ok_or_else(|| fields.wrong("rules", format!("{rules} is no list")))?;
    fields.end()?;
    let rules = rules.iter().enumerate().map(|(at, rule)| read_rule(&format!("rules[{at}]"), rule));
    Ok((seed, rules.collect::<Result<_, _>>()?))
}

fn read_rule(path: &str, value: &Value) -> Result<Rule, Wrong> {
    let mut fields = Fields::of(path, value)?;
    let matcher = read_matcher(&mut fields)?;
    let fault = fields.value("fault");
    let fault = read_fault(Fields::of(fields.path("fault"), fields.required("fault", fault)?)?)?;
    let times = match (fields.small_number("next")?, fields.probability("probability")?) {
        (None, None) => Times::Always,
        (Some(next), None) => Times::Next(next),
        (None, Some(probability)) => Times::Chance(probability),
        (Some(_), Some(_)) => return Err(fields.wrong("probability", "can't be said beside next")),
    };
    // What an answer of ours says besides, so that it can be sent back as it is.
    for ours in ["id", "struck"] {
        fields.value(ours);
    }
    fields.end()?;
    Ok(Rule { matcher, fault, times })
}

fn read_matcher(fields: &mut Fields<'_>) -> Result<Matcher, Wrong> {
    let text = |found: Option<&str>| found.map(str::to_owned);
    Ok(Matcher {
        verb: fields.choice("verb", Verb::ALL.map(|verb| (verb.as_str(), verb)))?,
        resource: text(fields.text("resource")?),
        namespace: text(fields.text("namespace")?),
        name: text(fields.text("name")?),
        user_agent: text(fields.text("userAgent")?),
    })
}

type ReadFault = fn(&mut Fields<'_>) -> Result<Fault, Wrong>;

const TYPES: [(&str, ReadFault); 8] = [
    ("delay", delay),
    ("lose-request", |_| Ok(Fault::LoseRequest)),
    ("lose-answer", |_| Ok(Fault::LoseAnswer)),
    ("answer", |fields| answer(fields).map(Fault::Answer)),
    ("quota", quota),
    ("policy", policy),
    ("watch", watch),
    ("stale", stale),
];

fn read_fault(mut fields: Fields<'_>) -> Result<Fault, Wrong> {
    let read = fields.choice("type", TYPES)?;
    let fault = fields.required("type", read)?(&mut fields)?;
    fields.end().map(|()| fault)
}

fn delay(fields: &mut Fields<'_>) -> Result<Fault, Wrong> {
    let least = fields.duration("least")?;
    let least = fields.required("least", least)?;
    let most = fields.duration("most")?.unwrap_or(least);
    if most < least {
        return Err(fields.wrong("most", "is less than least"));
    }
    Ok(Fault::Delay { least, most })
}

fn answer(fields: &mut Fields<'_>) -> Result<Answer, Wrong> {
    let retry_after = fields.small_number("retryAfter")?.unwrap_or(1);
    let code = fields.number("code")?;
    match fields.required("code", code)? {
        409 => Ok(Answer::Conflict),
        410 => Ok(Answer::Gone),
        429 => Ok(Answer::TooManyRequests { retry_after }),
        500 => Ok(Answer::Internal),
        503 => Ok(Answer::Unavailable),
        other => Err(fields.wrong("code", format!("{other} is none of 409, 410, 429, 500, 503"))),
    }
}

fn quota(fields: &mut Fields<'_>) -> Result<Fault, Wrong> {
    let limit = fields.number("limit")?.unwrap_or(0);
    let used = fields.number("used")?.unwrap_or(limit);
    let name = fields.text("name")?;
    let name = fields.required("name", name)?.to_owned();
    Ok(Fault::Quota(Quota { name, used, limit }))
}

fn policy(fields: &mut Fields<'_>) -> Result<Fault, Wrong> {
    let mut required = |name| {
        let text = fields.text(name)?;
        fields.required(name, text).map(str::to_owned)
    };
    Ok(Fault::Policy(Policy { name: required("name")?, binding: required("binding")?, message: required("message")? }))
}

fn watch(fields: &mut Fields<'_>) -> Result<Fault, Wrong> {
    let how = fields.text("how")?;
    let how = fields.required("how", how)?;
    let how = match how {
        "error" => Break::Error(answer(fields)?),
        other => break_named(other).map_err(|why| fields.wrong("how", why))?,
    };
    let when = match (fields.number("afterLines")?, fields.duration("after")?) {
        (None, None) => Moment::Lines(0),
        (Some(lines), None) => Moment::Lines(usize::try_from(lines).unwrap_or(usize::MAX)),
        (None, Some(time)) => Moment::After(time),
        (Some(_), Some(_)) => return Err(fields.wrong("after", "can't be said beside afterLines")),
    };
    Ok(Fault::Watch { how, when })
}

fn stale(fields: &mut Fields<'_>) -> Result<Fault, Wrong> {
    match (fields.number("behind")?, fields.number("revision")?) {
        (Some(writes), None) => Ok(Fault::Stale(Age::Behind(writes))),
        (None, Some(revision)) => Ok(Fault::Stale(Age::At(revision))),
        (None, None) => Err(fields.wrong("behind", "is missing, and so is revision")),
        (Some(_), Some(_)) => Err(fields.wrong("revision", "can't be said beside behind")),
    }
}

/// The breaks that need no more than a name.
pub(super) const BREAKS: [(&str, Break); 5] = [
    ("cut", Break::Cut),
    ("end", Break::End),
    ("stall", Break::Stall),
    ("half-line", Break::HalfLine),
    ("garbage", Break::Garbage),
];

/// The break of this name, or what the names are.
pub(crate) fn break_named(name: &str) -> Result<Break, String> {
    let found = BREAKS.iter().find(|(known, _)| *known == name).map(|(_, how)| *how);
    found.ok_or_else(|| format!("{name:?} is none of {}", BREAKS.map(|(name, _)| name).join(", ")))
}

/// Rules as they stand, in a form that [`rules`] reads.
pub fn rules_to_json(standing: &[Standing]) -> Value {
    json!({"rules": standing.iter().map(rule_to_json).collect::<Vec<_>>()})
}

fn rule_to_json(standing: &Standing) -> Value {
    let Standing { id, rule: Rule { matcher, fault, times }, struck } = standing;
    let Matcher { verb, resource, namespace, name, user_agent } = matcher;
    let mut map = Map::new();
    map.insert("id".into(), id.0.into());
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            map.insert(name.into(), value.into());
        }
    };
    put("verb", verb.map(Verb::as_str));
    put("resource", resource.as_deref());
    put("namespace", namespace.as_deref());
    put("name", name.as_deref());
    put("userAgent", user_agent.as_deref());
    map.insert("fault".into(), fault_to_json(fault));
    match times {
        Times::Next(next) => {
            map.insert("next".into(), (*next).into());
        }
        Times::Chance(probability) => {
            map.insert("probability".into(), (*probability).into());
        }
        Times::Always => {}
    }
    map.insert("struck".into(), (*struck).into());
    Value::Object(map)
}

fn fault_to_json(fault: &Fault) -> Value {
    match fault {
        Fault::Delay { least, most } => {
            json!({"type": "delay", "least": duration_text(*least), "most": duration_text(*most)})
        }
        Fault::LoseRequest => json!({"type": "lose-request"}),
        Fault::LoseAnswer => json!({"type": "lose-answer"}),
        Fault::Answer(answer) => with_answer(json!({"type": "answer"}), *answer),
        Fault::Quota(Quota { name, used, limit }) => {
            json!({"type": "quota", "name": name, "used": used, "limit": limit})
        }
        Fault::Policy(Policy { name, binding, message }) => {
            json!({"type": "policy", "name": name, "binding": binding, "message": message})
        }
        Fault::Watch { how, when } => watch_to_json(*how, *when),
        Fault::Stale(Age::Behind(writes)) => json!({"type": "stale", "behind": writes}),
        Fault::Stale(Age::At(revision)) => json!({"type": "stale", "revision": revision}),
    }
}

fn watch_to_json(how: Break, when: Moment) -> Value {
    let name = BREAKS.iter().find(|(_, known)| *known == how).map_or("error", |(name, _)| name);
    let mut value = json!({"type": "watch", "how": name});
    if let Break::Error(answer) = how {
        value = with_answer(value, answer);
    }
    match when {
        Moment::Lines(lines) => value["afterLines"] = lines.into(),
        Moment::After(time) => value["after"] = duration_text(time).into(),
    }
    value
}

fn with_answer(mut value: Value, answer: Answer) -> Value {
    let code = match answer {
        Answer::Conflict => 409,
        Answer::Gone => 410,
        Answer::TooManyRequests { retry_after } => {
            value["retryAfter"] = retry_after.into();
            429
        }
        Answer::Internal => 500,
        Answer::Unavailable => 503,
    };
    value["code"] = code.into();
    value
}

#[cfg(test)]
mod tests;
