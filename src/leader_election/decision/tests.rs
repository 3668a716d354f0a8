use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::*;

const PAUSE: Duration = Duration::from_secs(2);

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A follower that has seen nothing, and the start time of the test.
fn follower() -> (Election, Instant) {
    let t0 = Instant::now();
    let identity = Identity::new("us", &mut StdRng::seed_from_u64(1));
    (Election::new(identity, Timing::default(), t0), t0)
}

/// A leader. Its first write was sent at the returned instant, and answered one second later.
fn leader() -> (Election, Instant) {
    let (mut election, t0) = follower();
    election.observed(Some(lease("", "1")), t0, PAUSE);
    assert!(matches!(election.decide(t0), Decision::Acquire(_)));
    election.wrote(ours(&election, "2"), t0, t0 + secs(1.0));
    (election, t0)
}

fn lease(holder: &str, version: &str) -> Lease {
    serde_json::from_value(json!({
        "metadata": {"name": "x", "uid": "u", "resourceVersion": version},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-22T20:00:00.000000Z", "renewTime": "2026-11-22T20:00:00.000000Z",
        },
    }))
    .unwrap()
}

fn ours(election: &Election, version: &str) -> Lease {
    lease(election.identity().as_str(), version)
}

#[test]
fn a_follower_waits_a_whole_duration_from_its_own_first_sight_of_a_version() {
    let (mut election, t0) = follower();
    assert_eq!(election.decide(t0), Decision::Look);
    election.observed(Some(lease("them", "7")), t0, PAUSE);
    assert_eq!(election.decide(t0), Decision::Wait(t0 + PAUSE));

    // Reading the Lease again does not restart the wait ...
    election.observed(Some(lease("them", "7")), t0 + secs(14.0), PAUSE);
    assert_eq!(election.decide(t0 + secs(14.0)), Decision::Wait(t0 + secs(15.0)));
    assert_eq!(election.decide(t0 + secs(15.0)), Decision::Acquire(lease("them", "7")));

    // ... but another version does.
    election.observed(Some(lease("them", "8")), t0 + secs(15.0), PAUSE);
    election.observed(Some(lease("them", "8")), t0 + secs(29.9), PAUSE);
    assert_eq!(election.decide(t0 + secs(29.9)), Decision::Wait(t0 + secs(30.0)));
}

#[test]
fn the_holders_own_duration_counts_not_ours() {
    let (mut election, t0) = follower();
    let mut long = lease("them", "7");
    long.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
    election.observed(Some(long.clone()), t0, secs(90.0));
    assert_eq!(election.decide(t0 + secs(59.9)), Decision::Wait(t0 + secs(60.0)));
    assert_eq!(election.decide(t0 + secs(60.0)), Decision::Acquire(long));
}

#[test]
fn the_times_in_the_lease_decide_nothing() {
    for renewed in ["1970-01-01T00:00:00.000000Z", "2026-11-22T20:00:00.000000Z", "2999-01-01T00:00:00.000000Z"] {
        let (mut election, t0) = follower();
        let mut lease = lease("them", "7");
        lease.spec.as_mut().unwrap().renew_time = Some(serde_json::from_value(json!(renewed)).unwrap());
        election.observed(Some(lease.clone()), t0, secs(60.0));
        assert_eq!(election.decide(t0 + secs(14.9)), Decision::Wait(t0 + secs(15.0)));
        assert_eq!(election.decide(t0 + secs(15.0)), Decision::Acquire(lease));
    }
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let (mut election, t0) = follower();
    election.observed(Some(lease("them", "7")), t0, PAUSE);
    election.observed(Some(lease("", "8")), t0 + secs(2.0), PAUSE);
    assert_eq!(election.decide(t0 + secs(2.0)), Decision::Acquire(lease("", "8")));
}

#[test]
fn a_malformed_lease_is_free_after_a_whole_duration() {
    let (mut election, t0) = follower();
    let empty: Lease = serde_json::from_value(json!({"metadata": {"name": "x", "resourceVersion": "7"}})).unwrap();
    election.observed(Some(empty.clone()), t0, secs(60.0));
    assert_eq!(election.decide(t0), Decision::Wait(t0 + secs(15.0)));
    assert_eq!(election.decide(t0 + secs(15.0)), Decision::Acquire(empty));

    let (mut election, t0) = follower();
    let mut zero = lease("them", "7");
    zero.spec.as_mut().unwrap().lease_duration_seconds = Some(0);
    election.observed(Some(zero), t0, secs(60.0));
    assert_eq!(election.decide(t0), Decision::Wait(t0 + secs(15.0)));
}

#[test]
fn a_candidate_that_finds_no_lease_makes_it_at_once_and_leads_once_it_has_stood_for_a_duration() {
    let (mut election, t0) = follower();
    election.observed(None, t0, PAUSE);
    assert_eq!(election.decide(t0), Decision::Create);
    election.created(ours(&election, "1"), t0, t0 + secs(0.5));
    assert_eq!(election.decide(t0 + secs(0.5)), Decision::Wait(t0 + PAUSE));
    // Somebody may lead because of a Lease that was deleted just before. The founder renews, but does not lead.
    for sent in [2.0, 6.0, 14.0] {
        let renewed = ours(&election, &format!("1{sent}"));
        assert!(matches!(election.decide(t0 + secs(sent)), Decision::Renew(_)), "at {sent}");
        election.wrote(renewed, t0 + secs(sent), t0 + secs(sent));
        assert_eq!(election.leads_since(), None, "at {sent}");
        let next = t0 + secs(15.5_f64.min(sent + 2.0));
        assert_eq!(election.decide(t0 + secs(sent)), Decision::Wait(next), "at {sent}");
    }
    // The first renewal after that makes it lead. It does not wait for a retry period.
    assert!(matches!(election.decide(t0 + secs(15.5)), Decision::Renew(_)));
    election.wrote(ours(&election, "2"), t0 + secs(15.5), t0 + secs(15.6));
    assert_eq!(election.leads_since(), Some(t0 + secs(15.5)));
}

#[test]
fn a_lease_that_we_made_without_hearing_of_it_is_found_by_a_look_and_makes_a_founder() {
    let (mut election, t0) = follower();
    election.observed(None, t0, PAUSE);
    election.failed(t0, t0 + secs(4.0));
    election.observed(Some(ours(&election, "1")), t0 + secs(4.1), PAUSE);
    election.wrote(ours(&election, "2"), t0 + secs(4.1), t0 + secs(4.2));
    assert_eq!(election.leads_since(), None);
    election.wrote(ours(&election, "3"), t0 + secs(19.1), t0 + secs(19.2));
    assert_eq!(election.leads_since(), Some(t0 + secs(19.1)));
}

#[test]
fn a_founder_that_misses_an_answer_leads_neither_earlier_nor_later_for_it() {
    let (mut election, t0) = follower();
    election.observed(None, t0, PAUSE);
    election.created(ours(&election, "1"), t0, t0);
    election.failed(t0 + secs(2.0), t0 + secs(5.0));
    assert_eq!(election.decide(t0 + secs(5.0)), Decision::Look);
    election.observed(Some(ours(&election, "2")), t0 + secs(5.1), PAUSE);
    election.wrote(ours(&election, "3"), t0 + secs(5.1), t0 + secs(5.2));
    assert_eq!(election.leads_since(), None);
    election.wrote(ours(&election, "4"), t0 + secs(15.0), t0 + secs(15.1));
    assert_eq!(election.leads_since(), Some(t0 + secs(15.0)));
}

#[test]
fn a_founder_whose_lease_is_deleted_too_begins_anew() {
    let (mut election, t0) = follower();
    election.observed(None, t0, PAUSE);
    election.created(ours(&election, "1"), t0, t0);
    election.refused(t0 + secs(14.0), t0 + secs(14.0));
    let mut second = ours(&election, "9");
    second.metadata.uid = Some("another".into());
    election.observed(Some(second.clone()), t0 + secs(14.1), PAUSE);
    second.metadata.resource_version = Some("10".into());
    election.wrote(second, t0 + secs(16.0), t0 + secs(16.1));
    assert_eq!(election.leads_since(), None);
}

#[test]
fn a_founder_that_sees_another_holder_follows_it() {
    let (mut election, t0) = follower();
    election.observed(None, t0, PAUSE);
    election.created(ours(&election, "1"), t0, t0);
    election.refused(t0 + secs(2.0), t0 + secs(2.0));
    assert_eq!(election.decide(t0 + secs(2.0)), Decision::Look);
    election.observed(Some(lease("them", "2")), t0 + secs(2.1), secs(60.0));
    assert_eq!(election.decide(t0 + secs(2.1)), Decision::Wait(t0 + secs(17.1)));
}

#[test]
fn a_follower_leaves_the_leader_of_a_deleted_lease_the_time_to_make_it_again() {
    let (mut election, t0) = follower();
    election.observed(Some(lease("them", "7")), t0, PAUSE);
    election.observed(None, t0 + secs(1.0), PAUSE);
    election.observed(None, t0 + secs(10.0), PAUSE);
    assert_eq!(election.decide(t0 + secs(10.0)), Decision::Wait(t0 + secs(11.0)));
    assert_eq!(election.decide(t0 + secs(11.0)), Decision::Create);
}

#[test]
fn a_leader_renews_every_retry_period_from_what_it_wrote_itself() {
    let (election, t0) = leader();
    assert_eq!(election.decide(t0 + secs(1.0)), Decision::Wait(t0 + secs(2.0)));
    assert_eq!(election.decide(t0 + secs(2.0)), Decision::Renew(ours(&election, "2")));
}

#[test]
fn the_leaders_deadline_counts_from_before_its_last_success_was_sent() {
    let (mut election, t0) = leader();
    // The renewal takes four seconds. What counts is the instant before it was sent.
    election.wrote(ours(&election, "3"), t0 + secs(2.0), t0 + secs(6.0));
    assert_eq!(election.leads_since(), Some(t0 + secs(2.0)));
    assert!(!matches!(election.decide(t0 + secs(11.9)), Decision::StepDown(_)));
    assert_eq!(election.decide(t0 + secs(12.0)), Decision::StepDown(StepDown::DeadlinePassed(secs(10.0))));
}

#[test]
fn no_answer_is_waited_for_past_the_leaders_deadline() {
    let (election, t0) = leader();
    assert_eq!(election.patience(t0 + secs(2.0)), t0 + secs(6.0));
    assert_eq!(election.patience(t0 + secs(9.0)), t0 + secs(10.0));
}

#[test]
fn a_refused_write_is_followed_by_a_look_at_once_and_never_by_itself() {
    let (mut election, t0) = leader();
    election.refused(t0 + secs(2.0), t0 + secs(2.1));
    assert_eq!(election.decide(t0 + secs(2.1)), Decision::Look);
    // Somebody has annotated the Lease. It is still ours; the next attempt comes a retry period later.
    election.observed(Some(ours(&election, "9")), t0 + secs(2.2), PAUSE);
    assert_eq!(election.decide(t0 + secs(2.2)), Decision::Wait(t0 + secs(4.0)));
    assert_eq!(election.decide(t0 + secs(4.0)), Decision::Renew(ours(&election, "9")));
}

#[test]
fn a_write_without_an_answer_is_followed_by_a_look() {
    let (mut election, t0) = leader();
    election.failed(t0 + secs(2.0), t0 + secs(2.1));
    assert_eq!(election.decide(t0 + secs(2.1)), Decision::Wait(t0 + secs(4.0)));
    assert_eq!(election.decide(t0 + secs(4.0)), Decision::Look);
    // A request that hung has used up its pause.
    let (mut election, t0) = leader();
    election.failed(t0 + secs(2.0), t0 + secs(6.0));
    assert_eq!(election.decide(t0 + secs(6.0)), Decision::Look);
}

#[test]
fn an_acquisition_whose_answer_was_lost_is_ours_but_only_a_renewal_makes_us_lead() {
    let (mut election, t0) = follower();
    election.observed(Some(lease("", "7")), t0, PAUSE);
    election.failed(t0, t0 + secs(4.0));
    assert_eq!(election.decide(t0 + secs(4.0)), Decision::Look);
    election.observed(Some(ours(&election, "8")), t0 + secs(4.1), PAUSE);
    assert_eq!(election.leads_since(), None);
    assert_eq!(election.decide(t0 + secs(4.1)), Decision::Renew(ours(&election, "8")));
    election.wrote(ours(&election, "9"), t0 + secs(4.1), t0 + secs(4.2));
    assert_eq!(election.leads_since(), Some(t0 + secs(4.1)));
}

#[test]
fn a_follower_whose_create_was_refused_follows_who_was_faster() {
    let (mut election, t0) = follower();
    election.observed(None, t0, PAUSE);
    assert_eq!(election.decide(t0), Decision::Create);
    election.refused(t0, t0 + secs(0.1));
    assert_eq!(election.decide(t0 + secs(0.1)), Decision::Look);
    election.observed(Some(lease("them", "1")), t0 + secs(0.2), PAUSE);
    assert_eq!(election.decide(t0 + secs(0.2)), Decision::Wait(t0 + secs(2.2)));
}

#[test]
fn another_holder_seen_ends_leadership_at_once_and_for_good() {
    for other in ["them", ""] {
        let (mut election, t0) = leader();
        election.refused(t0 + secs(2.0), t0 + secs(2.1));
        election.observed(Some(lease(other, "9")), t0 + secs(2.2), PAUSE);
        assert!(matches!(election.decide(t0 + secs(2.2)), Decision::StepDown(StepDown::HolderChanged(_))));
        assert_eq!(election.leads_since(), None);
        election.observed(Some(ours(&election, "10")), t0 + secs(2.3), PAUSE);
        election.wrote(ours(&election, "11"), t0 + secs(2.3), t0 + secs(2.4));
        assert!(matches!(election.decide(t0 + secs(2.4)), Decision::StepDown(StepDown::HolderChanged(_))));
    }
}

#[test]
fn a_leader_makes_its_deleted_lease_again_and_gains_time_only_by_the_renewal_after_it() {
    let (mut election, t0) = leader();
    election.refused(t0 + secs(2.0), t0 + secs(2.1));
    election.observed(None, t0 + secs(2.2), PAUSE);
    assert_eq!(election.decide(t0 + secs(4.0)), Decision::Create);
    let mut again = ours(&election, "9");
    again.metadata.uid = Some("another".into());
    election.created(again.clone(), t0 + secs(4.0), t0 + secs(4.1));
    assert_eq!(election.leads_since(), Some(t0));
    assert_eq!(election.decide(t0 + secs(6.0)), Decision::Renew(again.clone()));
    again.metadata.resource_version = Some("10".into());
    election.wrote(again, t0 + secs(6.0), t0 + secs(6.1));
    assert_eq!(election.leads_since(), Some(t0 + secs(6.0)));
}

#[test]
fn a_leader_whose_deleted_lease_was_made_by_another_has_lost() {
    let (mut election, t0) = leader();
    election.refused(t0 + secs(2.0), t0 + secs(2.1));
    election.observed(None, t0 + secs(2.2), PAUSE);
    election.refused(t0 + secs(4.0), t0 + secs(4.1));
    election.observed(Some(lease("them", "1")), t0 + secs(4.2), PAUSE);
    assert!(matches!(election.decide(t0 + secs(4.2)), Decision::StepDown(StepDown::HolderChanged(_))));
}

#[test]
fn a_write_that_left_the_version_as_it_was_does_not_count() {
    let (mut election, t0) = leader();
    election.wrote(ours(&election, "2"), t0 + secs(2.0), t0 + secs(2.1));
    assert_eq!(election.leads_since(), Some(t0), "the others see a Lease that stands still");
    assert_eq!(election.decide(t0 + secs(4.0)), Decision::Look);
}

#[test]
fn failures_without_end_step_down_at_the_deadline_and_keep_the_pace_until_then() {
    let (mut election, t0) = leader();
    let (mut now, mut attempts) = (t0 + secs(1.0), 0);
    loop {
        match election.decide(now) {
            Decision::Wait(until) => now = until,
            Decision::Look | Decision::Renew(_) => {
                attempts += 1;
                election.failed(now, now + secs(0.001));
            }
            Decision::StepDown(reason) => {
                assert_eq!(reason, StepDown::DeadlinePassed(secs(10.0)));
                break;
            }
            other @ (Decision::Create | Decision::Acquire(_)) => panic!("{other:?}"),
        }
    }
    assert_eq!(now, t0 + secs(10.0));
    assert_eq!(attempts, 4, "at 2, 4, 6 and 8 seconds");
}

#[test]
fn people_are_told_who_holds_the_lease_or_what_is_waited_for() {
    let (mut election, t0) = follower();
    assert_eq!(election.to_string(), "the lease has not been read yet");
    election.observed(Some(lease("them", "1")), t0, PAUSE);
    assert_eq!(election.to_string(), "the lease is held by them");
    election.observed(None, t0, PAUSE);
    assert_eq!(election.to_string(), "there is no lease");
    election.created(ours(&election, "2"), t0, t0);
    assert!(election.to_string().starts_with("this instance has created the lease, and leads after 15s"));
}
