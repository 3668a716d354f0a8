//! What people rely on, one fact per test.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::leader_election::decision::StepDown;
use crate::leader_election::elector::{Leader, Term};
use crate::leader_election::record::{Holder, holder};
use crate::telemetry::{Heard, LogFormat};

fn world() -> Arc<Mutex<World>> {
    Arc::default()
}

/// A world with a released Lease: the first instance that reads it takes it at once.
fn released() -> Arc<Mutex<World>> {
    let world = world();
    let lease = serde_json::json!({"spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 4}});
    world.lock().unwrap().create(serde_json::from_value(lease).unwrap()).unwrap();
    world
}

async fn leading(instance: &Instance) -> Leader<Path> {
    instance.elector(1).acquire(&CancellationToken::new()).await.expect("nobody stops it")
}

/// Holds the Lease in a task of its own until the token is cancelled.
fn holding(leader: Leader<Path>) -> (CancellationToken, tokio::task::JoinHandle<Term<Path>>) {
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { leader.hold(&stop).await }
    });
    (stop, task)
}

fn stored(world: &Arc<Mutex<World>>) -> Lease {
    world.lock().unwrap().lease.clone().expect("a Lease")
}

fn lost(term: Term<Path>) -> StepDown {
    match term {
        Term::Lost(reason) => reason,
        Term::Completed(_) => panic!("nobody asked it to stop"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_takes_over_a_whole_duration_after_its_first_sight_whatever_the_clocks_say() {
    for off in [-5, 0, 5] {
        let world = released();
        let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
        let leader = a.elector_with_clock(1, SignedDuration::from_hours(off)).acquire(&CancellationToken::new()).await;
        let last_write = Instant::now();
        sleep(secs(1.0)).await;
        let first_sight = Instant::now();
        drop(leader);
        b.elector(2).acquire(&CancellationToken::new()).await.expect("nobody stops it");
        let waited = first_sight.elapsed();
        assert!(waited >= secs(15.0) && waited < secs(15.1), "{waited:?} with clocks {off} hours apart");
        assert!(last_write.elapsed() > secs(15.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_within_lease_duration_and_retry_period() {
    let world = released();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let (_stop, task) = holding(leading(&a).await);
    let follower = tokio::spawn(b.elector(2).acquire_owned());
    sleep(secs(31.7)).await;
    task.abort();
    let died = Instant::now();
    follower.await.unwrap();
    assert!(died.elapsed() <= secs(17.1), "{:?}", died.elapsed());
}

impl Elector<Path> {
    async fn acquire_owned(self) -> Leader<Path> {
        self.acquire(&CancellationToken::new()).await.expect("nobody stops it")
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_counts_from_the_answer_since_the_holder_may_have_renewed_while_the_question_was_on_its_way() {
    let world = released();
    let mut lease = stored(&world);
    let spec = lease.spec.as_mut().unwrap();
    (spec.holder_identity, spec.lease_duration_seconds) = (Some("them".into()), Some(15));
    let b = Instance::new("b", 2, &world);
    b.path.next([Trip { there: secs(3.0), ..FAST }]);
    let follower = tokio::spawn(b.elector(2).acquire_owned());
    sleep(secs(2.9)).await;
    world.lock().unwrap().replace(lease).unwrap();
    let renewed = Instant::now();
    follower.await.unwrap();
    assert!(renewed.elapsed() >= secs(15.0), "{:?}", renewed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_fence_counts_from_before_the_write_was_sent_however_slow_its_answer() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    // The take-over arrives at once; its answer takes 3.5 seconds.
    a.path.next([FAST, Trip { back: secs(3.5), ..FAST }]);
    let before = Instant::now() + secs(0.002);
    let leader = leading(&a).await;
    assert_eq!(before.elapsed(), secs(3.501));
    assert_eq!(a.fence.remaining(Instant::now()), Some(secs(13.5).saturating_sub(before.elapsed())));
    drop(leader);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_its_fence_closes_and_both_before_a_follower_writes() {
    let world = released();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let (_stop, task) = holding(leading(&a).await);
    let follower = tokio::spawn(b.elector(2).acquire_owned());
    sleep(secs(20.0)).await;
    a.path.cut();
    let term = task.await.unwrap();
    assert_eq!(lost(term), StepDown::DeadlinePassed(secs(10.0)));
    let stopped = Instant::now();
    let last_renewal = world.lock().unwrap().holders.last().unwrap().0;
    assert_eq!(stopped - last_renewal, secs(9.999));
    assert!(!a.may_write() && !a.leads() && !b.may_write());
    let _leader = follower.await.unwrap();
    assert!(b.may_write());
    assert!(stopped.elapsed() > secs(5.0), "the follower waits the lease duration, not the renew deadline");
}

#[tokio::test(start_paused = true)]
async fn the_fence_is_open_for_as_long_as_the_settings_say() {
    let world = released();
    let timing = Timing::new(secs(60.0), secs(40.0), secs(5.0)).unwrap();
    let a = Instance { timing, ..Instance::new("a", 1, &world) };
    let _leader = leading(&a).await;
    let open = a.fence.remaining(Instant::now()).unwrap();
    assert!(open > secs(53.9) && open <= secs(54.0), "{open:?}");
}

#[tokio::test(start_paused = true)]
async fn trouble_with_the_lease_is_told_once_and_again_after_it_was_over() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.subscriber(LogFormat::Json, "info"));
    let (world, stop) = (released(), CancellationToken::new());
    world.lock().unwrap().lease.as_mut().unwrap().spec.as_mut().unwrap().holder_identity = Some("them".into());
    let b =
        Instance { timing: Timing::new(secs(60.0), secs(40.0), secs(2.0)).unwrap(), ..Instance::new("b", 2, &world) };
    b.path.next([Trip::ANSWER_LOST, Trip::ANSWER_LOST, Trip::ANSWER_LOST, FAST, Trip::ANSWER_LOST]);
    let mut following = std::pin::pin!(b.elector(2).acquire(&stop));
    let told = |heard: &Heard| {
        let lines = heard.lines();
        lines.iter().filter(|line| line["message"].as_str().unwrap().contains("can't access its lease")).count()
    };
    _ = tokio::time::timeout(secs(5.0), &mut following).await;
    assert_eq!((b.path.verbs().len(), told(&heard)), (3, 1));
    _ = tokio::time::timeout(secs(7.0), &mut following).await;
    assert_eq!(told(&heard), 2);
}

#[tokio::test(start_paused = true)]
async fn a_follower_tells_once_whom_it_follows() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.subscriber(LogFormat::Json, "info"));
    let (world, stop) = (released(), CancellationToken::new());
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let (_stop, _task) = holding(leading(&a).await);
    _ = tokio::time::timeout(secs(30.0), b.elector(2).acquire(&stop)).await;
    let lines = heard.lines();
    let told = lines.iter().filter(|line| line["message"].as_str().unwrap().contains(a.identity.as_str()));
    assert_eq!(told.count(), 1, "{lines:?}");
}

/// Nothing in the leader runs but its workers, as after a long suspension in which nobody has told it that it has lost.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_sent_at_the_last_moment_has_the_margin_to_arrive_before_another_one_begins() {
    let world = released();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let _suspended = leading(&a).await;
    let follower = tokio::spawn(b.elector(2).acquire_owned());
    let mut sent = Instant::now();
    while !follower.is_finished() {
        if a.may_write() {
            sent = Instant::now();
        }
        sleep(secs(0.01)).await;
    }
    assert!(sent.elapsed() >= secs(1.5), "{:?}", sent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_hung_request_does_not_cost_the_lease() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    let (_stop, task) = holding(leading(&a).await);
    for _ in 0..5 {
        a.path.next([Trip::HUNG]);
        sleep(secs(12.0)).await;
        assert!(a.may_write() && a.leads() && !task.is_finished());
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_waited_for_longer_than_five_seconds() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    a.path.cut();
    let waiting = tokio::spawn(a.elector(1).acquire_owned());
    sleep(secs(60.0)).await;
    waiting.abort();
    let asked = a.path.asked.lock().unwrap().clone();
    assert!(asked.len() > 10);
    assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 <= secs(5.0)));
}

#[tokio::test(start_paused = true)]
async fn a_take_over_whose_answer_was_lost_is_recognised_as_our_own() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    a.path.next([FAST, Trip::ANSWER_LOST]);
    let _leader = leading(&a).await;
    assert_eq!(a.path.verbs(), ["get", "replace", "get", "replace"]);
    assert_eq!(holder(&stored(&world)), Holder::Named(a.identity.as_str()));
    assert_eq!(stored(&world).spec.unwrap().lease_transitions, Some(5), "one change of holder, though two writes");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_make_the_lease_at_once_one_follows() {
    let world = world();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    // b's read is a little slower, so that both find no Lease and a creates it first.
    b.path.next([Trip { back: secs(0.002), ..FAST }]);
    let (first, second) = (tokio::spawn(a.elector(1).acquire_owned()), tokio::spawn(b.elector(2).acquire_owned()));
    let (_stop, _task) = holding(first.await.unwrap());
    sleep(secs(60.0)).await;
    assert!(a.may_write() && !b.may_write() && !second.is_finished());
    assert_eq!(b.path.verbs().iter().filter(|verb| **verb == "create").count(), 1);
    assert_eq!(b.path.verbs().last(), Some(&"get"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_sees_another_holder_stops_at_once() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    let (_stop, task) = holding(leading(&a).await);
    sleep(secs(7.0)).await;
    let mut taken = stored(&world);
    taken.spec.as_mut().unwrap().holder_identity = Some("them".into());
    world.lock().unwrap().replace(taken).unwrap();
    let taken_at = Instant::now();
    assert_eq!(lost(task.await.unwrap()), StepDown::HolderChanged("them".into()));
    assert!(taken_at.elapsed() <= secs(2.1), "at its next renewal");
    assert!(!a.may_write() && !a.leads());
    assert_eq!(holder(&stored(&world)), Holder::Named("them"), "and leaves the Lease alone");
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_within_one_retry_period() {
    for seed in 0..20 {
        let world = released();
        let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
        let (stop, task) = holding(leading(&a).await);
        let follower = tokio::spawn(b.elector(seed).acquire_owned());
        sleep(secs(30.0) + Duration::from_millis(97 * seed)).await;
        stop.cancel();
        let Term::Completed(retired) = task.await.unwrap() else { panic!("it was asked to stop") };
        assert!(retired.release().await);
        let released_at = Instant::now();
        follower.await.unwrap();
        assert!(released_at.elapsed() <= secs(2.01), "{:?}", released_at.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_may_be_written_any_more_when_the_lease_is_released() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    let (stop, task) = holding(leading(&a).await);
    sleep(secs(5.0)).await;
    stop.cancel();
    let Term::Completed(retired) = task.await.unwrap() else { panic!("it was asked to stop") };
    assert!(!a.may_write() && !a.leads());
    assert_eq!(holder(&stored(&world)), Holder::Named(a.identity.as_str()), "not yet");
    assert!(retired.release().await);
    let spec = stored(&world).spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some(""), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn only_a_lease_that_names_us_is_released() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    let (stop, task) = holding(leading(&a).await);
    stop.cancel();
    let Term::Completed(retired) = task.await.unwrap() else { panic!("it was asked to stop") };
    let mut taken = stored(&world);
    taken.spec.as_mut().unwrap().holder_identity = Some("them".into());
    world.lock().unwrap().replace(taken).unwrap();
    assert!(!retired.release().await);
    assert_eq!(holder(&stored(&world)), Holder::Named("them"));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_arrives_during_the_release_does_not_spoil_it() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    let (stop, task) = holding(leading(&a).await);
    stop.cancel();
    let Term::Completed(retired) = task.await.unwrap() else { panic!("it was asked to stop") };
    // The GET of the release is answered slowly enough for another write to come in between.
    a.path.next([Trip { back: secs(1.0), ..FAST }]);
    let releasing = tokio::spawn(retired.release());
    sleep(secs(0.5)).await;
    let mut renewed = stored(&world);
    renewed.spec.as_mut().unwrap().lease_duration_seconds = Some(16);
    world.lock().unwrap().replace(renewed).unwrap();
    assert!(releasing.await.unwrap());
    assert_eq!(holder(&stored(&world)), Holder::Released);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again_by_its_leader_and_not_by_a_follower() {
    let world = released();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let (_stop, task) = holding(leading(&a).await);
    let follower = tokio::spawn(b.elector(2).acquire_owned());
    sleep(secs(10.0)).await;
    world.lock().unwrap().lease = None;
    sleep(secs(60.0)).await;
    assert_eq!(holder(&stored(&world)), Holder::Named(a.identity.as_str()));
    assert!(a.may_write() && !task.is_finished() && !b.may_write() && !follower.is_finished());
    assert!(!b.path.verbs().contains(&"create"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_deleted_under_a_leader_that_is_cut_off_makes_no_second_leader() {
    let world = released();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let (_stop, task) = holding(leading(&a).await);
    sleep(secs(10.0)).await;
    a.path.cut();
    world.lock().unwrap().lease = None;
    // b has just started: it has never seen the deleted Lease, and creates one at once.
    let (deleted, follower) = (Instant::now(), tokio::spawn(b.elector(2).acquire_owned()));
    lost(task.await.unwrap());
    assert_eq!(holder(&stored(&world)), Holder::Named(b.identity.as_str()));
    assert!(!b.may_write());
    let _leader = follower.await.unwrap();
    assert!(deleted.elapsed() >= secs(15.0) && deleted.elapsed() < secs(15.1), "{:?}", deleted.elapsed());
}

/// A release would save the next instance the wait, but let it write at the same time as the leader that was cut off.
#[tokio::test(start_paused = true)]
async fn a_founder_that_is_stopped_before_it_leads_leaves_the_wait_to_the_next_instance() {
    let world = released();
    let (a, b, c) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world), Instance::new("c", 3, &world));
    let (_stop, task) = holding(leading(&a).await);
    sleep(secs(10.0)).await;
    a.path.cut();
    world.lock().unwrap().lease = None;
    let (founder, stop) = (b.elector(2), CancellationToken::new());
    let founding = tokio::spawn({
        let stop = stop.clone();
        async move { founder.acquire(&stop).await.is_some() }
    });
    sleep(secs(1.0)).await;
    assert_eq!(holder(&stored(&world)), Holder::Named(b.identity.as_str()));
    stop.cancel();
    assert!(!founding.await.unwrap());
    let next = tokio::spawn(c.elector(3).acquire_owned());
    while !task.is_finished() {
        assert!(!(a.may_write() && c.may_write()), "two leaders");
        sleep(secs(0.1)).await;
    }
    let _leader = next.await.unwrap();
    assert!(c.may_write() && !a.may_write());
}

#[tokio::test(start_paused = true)]
async fn a_new_installation_has_its_lease_at_once_and_its_leader_after_one_lease_duration() {
    let world = world();
    let (a, started) = (Instance::new("a", 1, &world), Instant::now());
    let candidate = tokio::spawn(a.elector(1).acquire_owned());
    sleep(secs(0.1)).await;
    assert_eq!(holder(&stored(&world)), Holder::Named(a.identity.as_str()));
    let _leader = candidate.await.unwrap();
    assert!(started.elapsed() >= secs(15.0) && started.elapsed() < secs(15.1), "{:?}", started.elapsed());
    assert_eq!(stored(&world).spec.unwrap().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn the_gauge_falls_no_later_than_the_fence() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    assert!(!a.leads());
    let (_stop, task) = holding(leading(&a).await);
    assert!(a.leads());
    a.path.cut();
    task.await.unwrap();
    let last = *a.gauge.lock().unwrap().iter().rfind(|(_, leads, _)| *leads).unwrap();
    let fallen = *a.gauge.lock().unwrap().iter().find(|(at, leads, _)| !*leads && *at > last.0).unwrap();
    assert!(fallen.2, "the fence was still open in that moment");
    assert!(!a.may_write());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_task_is_aborted_may_not_write() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    let (_stop, task) = holding(leading(&a).await);
    sleep(secs(3.0)).await;
    assert!(a.may_write() && a.leads());
    task.abort();
    task.await.err().expect("it was aborted");
    assert!(!a.may_write() && !a.leads());
}

#[tokio::test(start_paused = true)]
async fn a_malformed_lease_is_taken_after_a_whole_duration() {
    let world = world();
    world.lock().unwrap().create(Lease::default()).unwrap();
    let a = Instance::new("a", 1, &world);
    let started = Instant::now();
    leading(&a).await;
    assert!(started.elapsed() >= secs(15.0) && started.elapsed() < secs(15.1), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_wall_clock_stands_still_keeps_its_lease() {
    let world = released();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let clock = WallClock::new(|| "2026-11-22T20:00:00Z".parse().unwrap());
    let leader = a.elector(1).with_wall_clock(clock).acquire_owned().await;
    let (_stop, task) = holding(leader);
    let follower = tokio::spawn(b.elector(2).acquire_owned());
    sleep(secs(90.0)).await;
    assert!(a.may_write() && !task.is_finished() && !follower.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_stopped_stops_and_leaves_the_lease_alone() {
    let world = released();
    let (a, b) = (Instance::new("a", 1, &world), Instance::new("b", 2, &world));
    let (_stop, _task) = holding(leading(&a).await);
    let (elector, stop) = (b.elector(2), CancellationToken::new());
    let candidate = tokio::spawn({
        let stop = stop.clone();
        async move { elector.acquire(&stop).await.is_some() }
    });
    sleep(secs(8.0)).await;
    let asked = Instant::now();
    stop.cancel();
    assert!(!candidate.await.unwrap());
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(b.path.verbs().iter().filter(|verb| **verb != "get").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_not_released() {
    let world = released();
    let a = Instance::new("a", 1, &world);
    let (stop, leader) = (CancellationToken::new(), leading(&a).await);
    sleep(secs(10.0)).await;
    stop.cancel();
    assert_eq!(lost(leader.hold(&stop).await), StepDown::DeadlinePassed(secs(10.0)));
}
