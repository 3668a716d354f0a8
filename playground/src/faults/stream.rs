//! A watch's stream that can be broken.
//!
//! ```text
//!              order, or the planned moment             the next line
//!   Passing ---- half line, garbage ----> Armed -------- half a line, then the end ------> Ended
//!      | |                                  +----------- garbage instead of it ----------> Passing
//!      | +------ stall -----------------> Stalled (an order still gets through)
//!      +-------- end, error event ------> Ended
//!      +-------- cut -> Breaking -> Broken -> Ended
//! ```
//!
//! The server's chunks hold as many lines as were ready; they are taken apart only while something is planned that counts
//! lines or is about to hit one.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as _, Frame};
use tokio::time::{Sleep, sleep};

use super::answer;
use super::rule::{Break, Moment};
use super::watches::Orders;
use crate::http::Body;

/// What a client gets that should have got a line of JSON.
const GARBAGE: &[u8] = b"<html><body><h1>502 Bad Gateway</h1></body></html>\n";

/// The body of a watch.
pub(crate) struct Breakable {
    inner: Body,
    orders: Orders,
    phase: Phase,
    plan: Plan,
    /// Lines that were taken out of a chunk and wait for their turn, oldest first.
    held: VecDeque<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Passing,
    /// The next line is hit.
    Armed(Hit),
    Stalled,
    /// About to break, once the connection has had a turn to send what came before: hyper drops what it has not sent.
    Breaking,
    /// Breaks now.
    Broken,
    Ended,
}

/// What happens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    Half,
    Garbage,
}

/// What was decided when the watch was opened.
enum Plan {
    Nothing,
    Lines { left: usize, how: Break },
    After { time: Pin<Box<Sleep>>, how: Break },
}

type Chunk = Option<io::Result<Bytes>>;

impl Breakable {
    pub(super) fn new(inner: Body, orders: Orders, planned: Option<(Break, Moment)>) -> Self {
        let plan = match planned {
            None => Plan::Nothing,
            Some((how, Moment::Lines(left))) => Plan::Lines { left, how },
            Some((how, Moment::After(time))) => Plan::After { time: Box::pin(sleep(time)), how },
        };
        Self { inner, orders, phase: Phase::Passing, plan, held: VecDeque::new() }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Chunk> {
        loop {
            match self.phase {
                Phase::Ended => return Poll::Ready(None),
                Phase::Breaking => {
                    self.phase = Phase::Broken;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Phase::Broken => {
                    self.phase = Phase::Ended;
                    let cut = io::Error::new(io::ErrorKind::ConnectionReset, "the watch was cut");
                    return Poll::Ready(Some(Err(cut)));
                }
                Phase::Passing | Phase::Armed(_) | Phase::Stalled => {}
            }
            if let Some(how) = self.due(context) {
                if let Some(chunk) = self.begin(how) {
                    return Poll::Ready(chunk);
                }
                continue;
            }
            if self.phase == Phase::Stalled {
                return Poll::Pending;
            }
            if let Some(line) = self.held.pop_front() {
                return Poll::Ready(Some(Ok(self.line(line))));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let chunk = frame.into_data().unwrap_or_default();
                    if !self.counts() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    self.held.extend(lines(&chunk));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Whether single lines matter.
    fn counts(&self) -> bool {
        matches!(self.phase, Phase::Armed(_)) || matches!(self.plan, Plan::Lines { .. })
    }

    /// What is to happen now: an order, or the plan.
    fn due(&mut self, context: &mut Context<'_>) -> Option<Break> {
        // The sender lives as long as the watch is registered, and that is as long as this is here.
        if let Poll::Ready(Some(how)) = self.orders.receiver.poll_recv(context) {
            return Some(how);
        }
        let due = match &mut self.plan {
            Plan::Lines { left: 0, how } => Some(*how),
            Plan::After { time, how } => time.as_mut().poll(context).is_ready().then_some(*how),
            Plan::Nothing | Plan::Lines { .. } => None,
        };
        if due.is_some() {
            self.plan = Plan::Nothing;
        }
        due
    }

    /// Begins to go wrong; what is sent at once, if anything.
    fn begin(&mut self, how: Break) -> Option<Chunk> {
        let (phase, chunk) = match how {
            Break::Cut => (Phase::Breaking, None),
            Break::End => (Phase::Ended, Some(None)),
            Break::Stall => (Phase::Stalled, None),
            Break::HalfLine => (Phase::Armed(Hit::Half), None),
            Break::Garbage => (Phase::Armed(Hit::Garbage), None),
            Break::Error(answer) => (Phase::Ended, Some(Some(Ok(answer::error_event(answer))))),
        };
        self.phase = phase;
        chunk
    }

    /// One line, as it goes out.
    fn line(&mut self, line: Bytes) -> Bytes {
        if let Plan::Lines { left, how: _ } = &mut self.plan {
            *left -= 1;
        }
        match self.phase {
            Phase::Armed(Hit::Half) => {
                self.phase = Phase::Ended;
                line.slice(..line.len() / 2)
            }
            Phase::Armed(Hit::Garbage) => {
                self.phase = Phase::Passing;
                Bytes::from_static(GARBAGE)
            }
            Phase::Passing | Phase::Stalled | Phase::Breaking | Phase::Broken | Phase::Ended => line,
        }
    }
}

fn lines(chunk: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut ends: Vec<usize> =
        chunk.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    if ends.last() != Some(&chunk.len()) {
        ends.push(chunk.len());
    }
    let starts: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
    starts.into_iter().zip(ends).map(|(start, end)| chunk.slice(start..end))
}

impl hyper::body::Body for Breakable {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let chunk = ready!(self.poll_chunk(context));
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests;
