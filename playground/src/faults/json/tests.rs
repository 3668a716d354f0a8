use serde_json::{Value, json};
use tokio::time::Duration;

use super::{matcher, rules, rules_to_json};
use crate::faults::book::Book;
use crate::faults::{Age, Answer, Break, Fault, Matcher, Moment, Policy, Quota, Rule, Verb};

fn all() -> Vec<Rule> {
    let delay = Fault::Delay { least: Duration::from_millis(50), most: Duration::from_millis(500) };
    let policy = Policy { name: "p".into(), binding: "b".into(), message: "no".into() };
    vec![
        Rule::new(delay)
            .verb(Verb::Apply)
            .resource("deployments.apps")
            .namespace("a")
            .name("x")
            .user_agent("me/")
            .next(3),
        Rule::new(Fault::LoseRequest).chance(0.5),
        Rule::new(Fault::LoseAnswer),
        Rule::answer(Answer::TooManyRequests { retry_after: 7 }),
        Rule::answer(Answer::Conflict),
        Rule::new(Fault::Quota(Quota { name: "q".into(), used: 3, limit: 2 })),
        Rule::new(Fault::Policy(policy)),
        Rule::watch(Break::HalfLine, Moment::Lines(4)),
        Rule::watch(Break::Error(Answer::Gone), Moment::After(Duration::from_secs(2))),
        Rule::new(Fault::Stale(Age::Behind(5))),
        Rule::new(Fault::Stale(Age::At(12))),
    ]
}

#[test]
fn what_is_shown_can_be_sent_back_and_means_the_same() {
    let mut book = Book::new(0);
    for rule in all() {
        book.add(rule);
    }
    assert_eq!(rules(&rules_to_json(&book.standing())), Ok((None, all())));
}

#[test]
fn what_is_wrong_is_named_by_its_path_with_what_is_allowed() {
    let fault = json!({"type": "lose-answer"});
    let one = |rule: Value| json!({"rules": [rule]});
    for (body, message) in [
        (json!([]), "[] is no object"),
        (json!({}), "rules: is missing"),
        (json!({"rules": {}}), "rules: {} is no list"),
        (json!({"rules": [], "x": 1}), "x: is unknown here; known are seed, rules"),
        (json!({"rules": [{"fault": fault}, {}]}), "rules[1].fault: is missing"),
        (one(json!({"fault": {"type": "lose"}})), "rules[0].fault.type: \"lose\" is none of delay, lose-request,"),
        (one(json!({"fault": {"type": "answer", "code": 418}})), "rules[0].fault.code: 418 is none of 409, 410,"),
        (one(json!({"fault": {"type": "delay", "least": "5"}})), "rules[0].fault.least: \"5\" is no duration such as"),
        (
            one(json!({"fault": {"type": "delay", "least": "5s", "most": "1s"}})),
            "rules[0].fault.most: is less than least",
        ),
        (one(json!({"fault": {"type": "quota"}})), "rules[0].fault.name: is missing"),
        (one(json!({"fault": {"type": "policy", "name": "p"}})), "rules[0].fault.binding: is missing"),
        (one(json!({"fault": {"type": "watch", "how": "bite"}})), "rules[0].fault.how: \"bite\" is none of cut, end,"),
        (one(json!({"fault": {"type": "stale"}})), "rules[0].fault.behind: is missing, and so is revision"),
        (one(json!({"fault": fault, "verb": "fetch"})), "rules[0].verb: \"fetch\" is none of get, list,"),
        (one(json!({"fault": fault, "name": 1})), "rules[0].name: 1 is no string"),
        (one(json!({"fault": fault, "probability": 2})), "rules[0].probability: 2 is no probability from 0 to 1"),
        (one(json!({"fault": fault, "next": -1})), "rules[0].next: -1 is no whole number"),
        (
            one(json!({"fault": fault, "next": 1, "probability": 0.5})),
            "rules[0].probability: can't be said beside next",
        ),
        (one(json!({"fault": fault, "kind": "Pod"})), "rules[0].kind: is unknown here; known are verb, resource,"),
    ] {
        let status = rules(&body).unwrap_err();
        assert_eq!((status.code, &*status.reason), (400, "BadRequest"));
        assert!(status.message.contains(message), "{message:?} is not in {:?}", status.message);
    }
}

#[test]
fn a_matcher_alone_says_whose_watches() {
    assert_eq!(matcher(&Value::Null), Ok(Matcher::default()));
    assert_eq!(matcher(&json!({"resource": "pods"})).unwrap().resource.as_deref(), Some("pods"));
    assert!(matcher(&json!({"resources": "pods"})).unwrap_err().message.contains("resources: is unknown here"));
}
