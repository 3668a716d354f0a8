use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::{Duration, Instant, timeout};

use super::{Breakable, GARBAGE};
use crate::faults::watches::Watches;
use crate::faults::{Answer, Asked, Break, Matcher, Moment};
use crate::http::Body;

/// Chunks that are there at once; then the stream stays open.
struct Chunks(VecDeque<&'static str>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.0.pop_front() {
            Some(chunk) => std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))))),
            None => std::task::Poll::Pending,
        }
    }
}

fn stream(chunks: &[&'static str], planned: Option<(Break, Moment)>) -> (Breakable, Arc<Mutex<Watches>>) {
    let inner: Body = Chunks(chunks.iter().copied().collect()).boxed_unsync();
    let watches = Arc::default();
    (Breakable::new(inner, Watches::open(&watches, Asked::default()), planned), watches)
}

/// All that comes within an hour, and how it ends: `end`, `break`, or `open`.
async fn read(stream: &mut Breakable) -> (String, &'static str) {
    let mut text = String::new();
    loop {
        match timeout(Duration::from_secs(3600), stream.frame()).await {
            Err(_) => return (text, "open"),
            Ok(None) => return (text, "end"),
            Ok(Some(Err(_))) => return (text, "break"),
            Ok(Some(Ok(frame))) => text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap()),
        }
    }
}

const CHUNKS: [&str; 2] = ["one1\ntwo2\n", "three3\n"];

async fn broken(how: Break, when: Moment) -> (String, &'static str) {
    let (mut stream, _watches) = stream(&CHUNKS, Some((how, when)));
    read(&mut stream).await
}

#[tokio::test(start_paused = true)]
async fn without_a_plan_the_chunks_pass_as_they_are() {
    let (mut stream, _watches) = stream(&CHUNKS, None);
    assert_eq!(stream.frame().await.unwrap().unwrap().into_data().unwrap(), CHUNKS[0]);
    assert_eq!(read(&mut stream).await, (CHUNKS[1].to_owned(), "open"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_by_lines_hits_in_the_middle_of_a_chunk() {
    let one = Moment::Lines(1);
    assert_eq!(broken(Break::Cut, one).await, ("one1\n".to_owned(), "break"));
    assert_eq!(broken(Break::End, one).await, ("one1\n".to_owned(), "end"));
    assert_eq!(broken(Break::Stall, one).await, ("one1\n".to_owned(), "open"));
    assert_eq!(broken(Break::HalfLine, one).await, ("one1\ntw".to_owned(), "end"));
    let garbage = std::str::from_utf8(GARBAGE).unwrap();
    assert_eq!(broken(Break::Garbage, one).await, (format!("one1\n{garbage}three3\n"), "open"));
    let (text, end) = broken(Break::Error(Answer::Gone), one).await;
    assert_eq!(end, "end");
    assert!(text.starts_with("one1\n{\"type\":\"ERROR\",") && text.ends_with("}\n"), "{text}");
    assert!(text.contains("\"code\":410") && text.contains("\"reason\":\"Expired\""), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_by_lines_waits_for_lines_that_come_later() {
    assert_eq!(broken(Break::Cut, Moment::Lines(3)).await, ("one1\ntwo2\nthree3\n".to_owned(), "break"));
    assert_eq!(broken(Break::Cut, Moment::Lines(4)).await, ("one1\ntwo2\nthree3\n".to_owned(), "open"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_by_time_hits_then_and_not_before() {
    let started = Instant::now();
    let (text, end) = broken(Break::End, Moment::After(Duration::from_secs(5))).await;
    assert_eq!((text.as_str(), end), ("one1\ntwo2\nthree3\n", "end"));
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_order_reaches_a_stream_that_waits_and_even_one_that_has_stalled() {
    let (mut stream, watches) = stream(&[], None);
    let order = |how| watches.lock().unwrap().order(&Matcher::default(), how);
    let give = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(order(Break::Stall), 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(order(Break::Cut), 1);
    };
    let (read, ()) = tokio::join!(read(&mut stream), give);
    assert_eq!(read, (String::new(), "break"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_closed_is_counted_no_more() {
    let (stream, watches) = stream(&[], None);
    let count = || watches.lock().unwrap().count(&Matcher::default());
    assert_eq!(count(), 1);
    drop(stream);
    assert_eq!(count(), 0);
}
