use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::events::v1::{Event as KubeEvent, EventSeries};
use tokio::time::{Instant, sleep};

use super::*;
use crate::object::DEPLOYMENTS;

/// What the API server does with a request.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Takes,
    Fails,
    Refuses,
    Hangs,
    /// The Event of a series no longer exists.
    HasForgotten,
}

/// The requests: `create <note>` or `patch <count>`.
#[derive(Clone, Default)]
struct Api {
    asked: Arc<Mutex<Vec<String>>>,
    /// For the next requests; then it accepts everything.
    moods: Arc<Mutex<VecDeque<Mood>>>,
}

impl Api {
    fn in_moods(moods: impl IntoIterator<Item = Mood>) -> Self {
        Self { moods: Arc::new(Mutex::new(moods.into_iter().collect())), ..Self::default() }
    }

    async fn ask(&self, what: String) -> Result<(), EventError> {
        self.asked.lock().unwrap().push(what);
        let mood = self.moods.lock().unwrap().pop_front().unwrap_or(Mood::Takes);
        match mood {
            Mood::Takes => Ok(()),
            Mood::Fails => Err(EventError::Failed("a bad minute".into())),
            Mood::Refuses => Err(EventError::Refused("forbidden".into())),
            Mood::Hangs => std::future::pending().await,
            Mood::HasForgotten => Err(EventError::Gone),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn recorder(&self) -> (Recorder, Delivery) {
        Recorder::over(self.clone(), "pod-a_1", WallClock::new(|| "2026-11-22T20:00:00Z".parse().unwrap()))
    }
}

impl EventApi for Api {
    async fn create(&self, event: KubeEvent) -> Result<(), EventError> {
        self.ask(format!("create {}", event.note.unwrap_or_default())).await
    }

    async fn patch(&self, _event: ObjectKey, series: EventSeries) -> Result<(), EventError> {
        self.ask(format!("patch {}", series.count)).await
    }
}

fn regarding(name: &str) -> Regarding {
    Regarding { resource: DEPLOYMENTS, key: ObjectKey::new("prod", name), uid: Uid::from(name) }
}

fn event(note: &str) -> Event {
    Event { event_type: EventType::Warning, reason: "NameConflict", action: "Reconcile", note: note.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn what_happens_again_is_patched_into_the_same_event() {
    let api = Api::default();
    let (recorder, delivery) = api.recorder();
    for _ in 0..3 {
        recorder.publish(&regarding("a"), event("x"));
    }
    delivery.flush().await;
    assert_eq!(api.asked(), ["create x", "patch 2", "patch 3"]);
}

#[tokio::test(start_paused = true)]
async fn publishing_never_waits_and_a_full_queue_drops() {
    let api = Api::in_moods([Mood::Hangs; 10]);
    let (recorder, delivery) = api.recorder();
    let before = Instant::now();
    for number in 0..5_000 {
        recorder.publish(&regarding(&number.to_string()), event("x"));
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(recorder.dropped.load(Ordering::Relaxed), 4_000);
    api.moods.lock().unwrap().clear();
    delivery.flush().await;
    assert_eq!(api.asked().len(), 1_000);
    assert_eq!(recorder.dropped.load(Ordering::Relaxed), 0, "reported");
    recorder.publish(&regarding("late"), event("x"));
    assert_eq!(api.asked().len(), 1_000, "after the end it is nobody's any more");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_three_times_and_then_the_next_occurrence_makes_the_event() {
    let api = Api::in_moods([Mood::Fails, Mood::Fails, Mood::Fails]);
    let (recorder, delivery) = api.recorder();
    recorder.publish(&regarding("a"), event("x"));
    recorder.publish(&regarding("a"), event("x"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        api.asked(),
        ["create x", "create x", "create x", "create x"],
        "three for the first, one for the second"
    );
    delivery.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again() {
    let api = Api::in_moods([Mood::Refuses]);
    let (recorder, delivery) = api.recorder();
    recorder.publish(&regarding("a"), event("x"));
    recorder.publish(&regarding("b"), event("y"));
    delivery.flush().await;
    assert_eq!(api.asked(), ["create x", "create y"]);
}

#[tokio::test(start_paused = true)]
async fn a_series_whose_event_is_gone_begins_anew() {
    let api = Api::in_moods([Mood::Takes, Mood::HasForgotten]);
    let (recorder, delivery) = api.recorder();
    for _ in 0..3 {
        recorder.publish(&regarding("a"), event("x"));
    }
    delivery.flush().await;
    assert_eq!(api.asked(), ["create x", "patch 2", "create x", "patch 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_hung_request_is_given_up_and_the_next_event_is_sent() {
    let api = Api::in_moods([Mood::Hangs, Mood::Hangs, Mood::Hangs]);
    let (recorder, delivery) = api.recorder();
    recorder.publish(&regarding("a"), event("x"));
    recorder.publish(&regarding("b"), event("y"));
    sleep(Duration::from_secs(20)).await;
    assert_eq!(api.asked(), ["create x", "create x", "create x", "create y"]);
    delivery.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_five_seconds_at_most() {
    let api = Api::in_moods([Mood::Hangs; 100]);
    let (recorder, delivery) = api.recorder();
    for number in 0..10 {
        recorder.publish(&regarding(&number.to_string()), event("x"));
    }
    let before = Instant::now();
    delivery.flush().await;
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    let asked = api.asked().len();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(api.asked().len(), asked, "and then nothing more is sent");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_is_cut_between_two_characters() {
    let api = Api::default();
    let (recorder, delivery) = api.recorder();
    recorder.publish(&regarding("a"), event(&format!("x{}", "ü".repeat(1_000))));
    delivery.flush().await;
    assert_eq!(api.asked(), [format!("create x{}", "ü".repeat(511))], "1,023 bytes: another character has two");
    assert_eq!(cut("", 5), "");
    assert_eq!(cut("12345", 5), "12345");
    assert_eq!(cut("123456", 5), "12345");
}

/// Reasons and actions are constants of this program. If one became too long, the API server would refuse the Event.
#[tokio::test(start_paused = true)]
async fn a_reason_and_an_action_have_128_bytes_at_most() {
    let (made, mut events) = mpsc::unbounded_channel();
    let (recorder, delivery) = Recorder::over(Maker(made), &"i".repeat(200), WallClock::system());
    let long: &'static str = format!("x{}", "ü".repeat(100)).leak();
    recorder.publish(&regarding("a"), Event { reason: long, action: long, ..event("y") });
    delivery.flush().await;
    let made = events.recv().await.unwrap();
    let cut = format!("x{}", "ü".repeat(63));
    assert_eq!((made.reason, made.action), (Some(cut.clone()), Some(cut)), "127 bytes: another character has two");
    assert_eq!(made.reporting_instance, Some("i".repeat(128)));
}

/// An API that passes on the created Events.
struct Maker(mpsc::UnboundedSender<KubeEvent>);

impl EventApi for Maker {
    async fn create(&self, event: KubeEvent) -> Result<(), EventError> {
        self.0.send(event).map_err(|error| EventError::Refused(error.into()))
    }

    async fn patch(&self, _event: ObjectKey, _series: EventSeries) -> Result<(), EventError> {
        Ok(())
    }
}
