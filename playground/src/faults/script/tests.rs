use tokio::time::Duration;

use super::{Plan, SYNTAX, names};
use crate::faults::{Age, Answer, Beat, Break, Fault, Lever, Matcher, Rule};

fn plan(text: &str) -> Plan {
    text.parse().unwrap()
}

#[test]
fn faults_come_with_values_and_probabilities() {
    let delay = |least, most| Fault::Delay { least: Duration::from_millis(least), most: Duration::from_millis(most) };
    let beat = |seconds, lever| Beat { every: Duration::from_secs(seconds), lever, matcher: Matcher::default() };
    let read =
        plan("delay=50ms..500ms:0.3, cut-watches=5s,error-500:0.05,lose-answer:0.02,compact=20s,delay=1s,stale=5");
    assert_eq!(
        read.rules,
        [
            Rule::new(delay(50, 500)).chance(0.3),
            Rule::answer(Answer::Internal).chance(0.05),
            Rule::new(Fault::LoseAnswer).chance(0.02),
            Rule::new(delay(1000, 1000)),
            Rule::new(Fault::Stale(Age::Behind(5))),
        ]
    );
    assert_eq!(read.beats, [beat(5, Lever::Watches(Break::Cut)), beat(20, Lever::Compact)]);
    assert_eq!(plan(""), Plan::default());
}

#[test]
fn all_of_it_can_be_meant_for_one_client() {
    let plan = plan("lose-answer,cut-watches=5s").only_for("me/");
    assert_eq!(plan.rules[0].matcher.user_agent.as_deref(), Some("me/"));
    assert_eq!(plan.beats[0].matcher.user_agent.as_deref(), Some("me/"));
}

#[test]
fn what_is_wrong_is_named_with_what_is_allowed() {
    for (text, message) in [
        ("delay=1s,eror-500", "\"eror-500\": there is no such fault; there are delay, lose-request,"),
        ("delay", "\"delay\": how long? Say delay=50ms..500ms"),
        ("delay=5", "\"delay=5\": \"5\" is no duration such as 50ms, 5s or 2m"),
        ("delay=2s..1s", "the second is less than the first"),
        ("error-500:2", "\"error-500:2\": \"2\" is no probability from 0 to 1"),
        ("error-500=0.5", "error-500 takes no value; a probability is said so: error-500:0.05"),
        ("cut-watches", "\"cut-watches\": how often? Say cut-watches=5s"),
        ("cut-watches=0s", "no duration"),
        ("compact=5s:0.5", "compact happens every so often and has no probability"),
        ("stale=x", "\"x\" is no number of writes"),
    ] {
        let error = text.parse::<Plan>().unwrap_err().to_string();
        assert!(error.contains(message), "{message:?} is not in {error:?}");
    }
}

#[test]
fn every_name_is_explained() {
    for name in names() {
        assert!(SYNTAX.contains(&name), "{name}");
    }
}
