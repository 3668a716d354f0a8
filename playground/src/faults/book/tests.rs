use tokio::time::Duration;

use super::Book;
use crate::faults::{Age, Answer, Asked, Break, Fault, Moment, Policy, Quota, Rule, Verb};
use crate::resources::Registry;

fn asked(verb: &'static str, resource: &str, name: &str) -> Asked {
    Asked {
        verb,
        creates: verb == "create",
        resource: Some(Registry::default().by_name(resource).unwrap()),
        namespace: "a".into(),
        name: name.into(),
        user_agent: "smooth-operator/1".into(),
        ..Asked::default()
    }
}

fn struck(book: &mut Book, asked: &Asked) -> bool {
    book.decide(asked).fault.is_some()
}

fn book(rules: impl IntoIterator<Item = Rule>) -> Book {
    let mut book = Book::new(1);
    for rule in rules {
        book.add(rule);
    }
    book
}

fn internal() -> Rule {
    Rule::answer(Answer::Internal)
}

#[test]
fn a_rule_strikes_whom_it_means_and_nobody_else() {
    let mut book = book([internal().verb(Verb::Apply).resource("deployments.apps").namespace("a").name("x")]);
    let x = asked("apply", "deployments.apps", "x");
    assert!(struck(&mut book, &x));
    for other in [
        asked("get", "deployments.apps", "x"),
        asked("apply", "services", "x"),
        asked("apply", "deployments.apps", "y"),
        Asked { namespace: "b".into(), ..x.clone() },
        Asked { subresource: "status".into(), ..x.clone() },
        Asked { resource: None, ..x.clone() },
    ] {
        assert!(!struck(&mut book, &other), "{other:?}");
    }
}

#[test]
fn a_subresource_is_another_thing_unless_both_are_meant() {
    let object = asked("update", "deployments.apps", "x");
    let status = Asked { subresource: "status".into(), ..object.clone() };
    for (resource, expected) in [
        ("deployments.apps", (true, false)),
        ("deployments.apps/status", (false, true)),
        ("deployments.apps/*", (true, true)),
    ] {
        let mut book = book([internal().resource(resource)]);
        assert_eq!((struck(&mut book, &object), struck(&mut book, &status)), expected, "{resource}");
    }
}

#[test]
fn a_user_agent_is_meant_by_its_beginning() {
    let mut book = book([internal().user_agent("smooth-operator/")]);
    assert!(struck(&mut book, &asked("get", "pods", "x")));
    assert!(!struck(&mut book, &Asked { user_agent: "kubectl/v1.32".into(), ..asked("get", "pods", "x") }));
}

/// Server-side apply is how operators create: admission calls it a create where nothing is there yet.
#[test]
fn an_apply_that_would_make_its_object_is_a_create_and_a_quota_stops_no_other() {
    let quota = Fault::Quota(Quota { name: "q".into(), used: 1, limit: 1 });
    for rule in [Rule::new(quota), internal().verb(Verb::Create)] {
        let mut book = book([rule]);
        let change = asked("apply", "deployments.apps", "x");
        assert!(!struck(&mut book, &change));
        assert!(struck(&mut book, &Asked { creates: true, ..change }));
    }
}

#[test]
fn no_fault_strikes_where_a_server_would_never_answer_so() {
    let policy = Policy { name: "p".into(), binding: "b".into(), message: "no".into() };
    let all = ["get", "list", "watch", "create", "apply", "delete"];
    for (fault, expected) in [
        (Fault::LoseAnswer, &all[..]),
        (Fault::Answer(Answer::Conflict), &["create", "apply"]),
        (Fault::Answer(Answer::Gone), &["list", "watch"]),
        (Fault::Answer(Answer::Unavailable), &all[..]),
        (Fault::Policy(policy), &["create", "apply"]),
        (Fault::Watch { how: Break::Cut, when: Moment::Lines(0) }, &["watch"]),
        (Fault::Stale(Age::At(1)), &[]),
    ] {
        let mut book = book([Rule::new(fault.clone())]);
        let hit: Vec<_> = all.into_iter().filter(|verb| struck(&mut book, &asked(verb, "pods", "x"))).collect();
        assert_eq!(hit, expected, "{fault:?}");
    }
    let mut book = book([Rule::new(Fault::Stale(Age::At(1)))]);
    assert!(struck(&mut book, &Asked { oldest: Some(0), ..asked("list", "pods", "") }));
}

#[test]
fn the_next_n_are_struck_and_then_none() {
    let mut book = book([internal().next(2)]);
    let pods = asked("get", "pods", "x");
    let hits: Vec<bool> = (0..4).map(|_| struck(&mut book, &pods)).collect();
    assert_eq!(hits, [true, true, false, false]);
    assert_eq!(book.standing()[0].struck, 2);
    assert_eq!(book.strikes()["error-500"], 2);
}

#[test]
fn delays_add_up_and_of_the_others_the_first_wins_and_uses_nothing_of_the_rest_up() {
    let delay = |ms| Rule::new(Fault::Delay { least: Duration::from_millis(ms), most: Duration::from_millis(ms) });
    let mut book = book([delay(1), delay(2), internal().next(1), Rule::new(Fault::LoseAnswer).next(1), delay(4)]);
    let pods = asked("get", "pods", "x");
    let first = book.decide(&pods);
    assert_eq!((first.delay, first.fault), (Duration::from_millis(3), Some(Fault::Answer(Answer::Internal))));
    let second = book.decide(&pods);
    assert_eq!((second.delay, second.fault), (Duration::from_millis(3), Some(Fault::LoseAnswer)));
    let third = book.decide(&pods);
    assert_eq!((third.delay, third.fault), (Duration::from_millis(7), None));
}

fn story(seed: u64) -> Vec<(Duration, bool)> {
    let mut book = Book::new(seed);
    let delay = Fault::Delay { least: Duration::from_millis(5), most: Duration::from_millis(500) };
    book.add(Rule::new(delay).chance(0.5));
    book.add(internal().verb(Verb::Get).chance(0.3));
    let requests = [asked("get", "pods", "x"), asked("list", "pods", "")];
    let verdicts = requests.iter().cycle().take(200).map(|request| book.decide(request));
    verdicts.map(|verdict| (verdict.delay, verdict.fault.is_some())).collect()
}

#[test]
fn the_seed_and_the_order_of_requests_decide_everything() {
    assert_eq!(story(1), story(1));
    assert_ne!(story(1), story(2));
    let hits = story(1).iter().filter(|(_, hit)| *hit).count();
    assert!((15..=45).contains(&hits), "{hits} of 100 gets with probability 0.3");
    let bounds = Duration::from_millis(5)..=Duration::from_millis(500);
    assert!(story(1).iter().all(|(delay, _)| delay.is_zero() || bounds.contains(delay)));
}

/// A request that a rule is not about must not move chance on: else a stranger's request would change the story.
#[test]
fn a_request_that_no_rule_is_about_leaves_chance_alone() {
    let outcome = |strangers: usize| {
        let mut book = book([internal().user_agent("smooth-operator/").chance(0.5)]);
        let ours = asked("get", "pods", "x");
        let stranger = Asked { user_agent: "kubectl".into(), ..ours.clone() };
        let mut hits = Vec::new();
        for _ in 0..50 {
            hits.push(struck(&mut book, &ours));
            (0..strangers).for_each(|_| drop(book.decide(&stranger)));
        }
        hits
    };
    assert_eq!(outcome(0), outcome(3));
}

#[test]
fn removed_rules_strike_no_more() {
    let mut book = Book::new(1);
    let id = book.add(internal());
    assert!(struck(&mut book, &asked("get", "pods", "x")));
    assert!(book.remove(id));
    assert!(!book.remove(id));
    assert!(!struck(&mut book, &asked("get", "pods", "x")));
    assert!(book.is_empty());
}
