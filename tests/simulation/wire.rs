//! The line between an operator and the API server: without sockets, and as unreliable as the weather says.
//!
//! ```text
//!   operator ── numbered ── crash before? ── on its way ── judged ── Cluster::exchange ── on its way ── crash after? ── operator
//! ```
//!
//! A request on its way is a task of its own: it arrives even though whoever sent it has given up or is dead. That is what
//! makes a fence necessary, and what a test in which both ends share one future never shows.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use smooth_operator::mcp::Dialer;
use smooth_operator::telemetry::Metrics;
use tokio::time::{Duration, Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::world::World;

type Body = playground::http::Body;

/// When an operator dies, counted in its own requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Before this one is sent.
    Before(u64),
    /// After this one is done; the operator does not learn of it.
    After(u64),
}

/// One life of an operator, from its start to its end.
pub(crate) struct Life {
    /// Which operator, from 1.
    pub(crate) instance: usize,
    /// Which of its lives, from 1.
    pub(crate) number: u64,
    /// It is dead.
    pub(crate) crashed: CancellationToken,
    /// It is asked to stop.
    pub(crate) stop: CancellationToken,
    /// Where it counts.
    pub(crate) metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    random: StdRng,
    requests: u64,
    crash: Option<Crash>,
    /// What it calls itself in the Lease.
    identity: Option<String>,
    /// How many pieces of watches it was shown, and which of them is lost.
    pieces: u64,
    lost: Option<u64>,
}

impl Life {
    pub(crate) fn new(instance: usize, number: u64, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let state = State { random, requests: 0, crash: None, identity: None, pieces: 0, lost: None };
        let state = Mutex::new(state);
        let (crashed, stop) = (CancellationToken::new(), CancellationToken::new());
        Self { instance, number, crashed, stop, metrics: Metrics::new(), state }
    }

    /// It will die so.
    pub(crate) fn crashes(&self, crash: Crash) {
        self.state.lock().unwrap().crash = Some(crash);
    }

    /// It will die at one of its next requests.
    pub(crate) fn crashes_soon(&self, requests: u64, before: bool) {
        let at = self.requests() + requests;
        self.crashes(if before { Crash::Before(at) } else { Crash::After(at) });
    }

    /// It will not be shown this piece of a watch.
    pub(crate) fn loses(&self, piece: u64) {
        self.state.lock().unwrap().lost = Some(piece);
    }

    /// How many pieces of watches it was shown.
    pub(crate) fn pieces(&self) -> u64 {
        self.state.lock().unwrap().pieces
    }

    /// Whether the next piece is the one that is lost.
    fn loses_next(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.pieces += 1;
        state.lost == Some(state.pieces - 1)
    }

    /// How many requests it has sent.
    pub(crate) fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    pub(crate) fn identity(&self) -> Option<String> {
        self.state.lock().unwrap().identity.clone()
    }

    pub(crate) fn calls_itself(&self, identity: &str) {
        self.state.lock().unwrap().identity = Some(identity.to_owned());
    }

    /// How it is told apart in the timeline.
    pub(crate) fn name(&self) -> String {
        format!("op {}.{}", self.instance, self.number)
    }

    fn next_request(&self, latency: Duration) -> (u64, Option<Crash>, [Duration; 2]) {
        let mut state = self.state.lock().unwrap();
        let number = state.requests;
        state.requests += 1;
        let most = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1000);
        let there = Duration::from_micros(state.random.random_range(500..=most));
        let back = Duration::from_micros(state.random.random_range(500..=most));
        (number, state.crash, [there, back])
    }

    async fn dies<T>(&self) -> T {
        self.crashed.cancel();
        std::future::pending().await
    }
}

/// The client of an operator in this life of it.
pub(crate) fn connect(world: &Arc<World>, life: &Arc<Life>) -> kube_client::Client {
    let (world, life) = (Arc::clone(world), Arc::clone(life));
    let carry = move |request| carry(Arc::clone(&world), Arc::clone(&life), request);
    kube_client::Client::new(tower::service_fn(carry), "default")
}

/// The way of an operator to the pods. It is another one than that to the API server, with a weather of its own.
pub(crate) fn dialer(world: &Arc<World>, life: &Arc<Life>) -> Dialer {
    let (world, life) = (Arc::clone(world), Arc::clone(life));
    Dialer::new(move |address| {
        let (world, life) = (Arc::clone(&world), Arc::clone(&life));
        async move {
            sleep(Duration::from_millis(1)).await;
            if life.crashed.is_cancelled() || world.pods_are_silent() {
                std::future::pending::<()>().await;
            }
            world.cluster.servers().connect(address)
        }
    })
}

async fn carry(
    world: Arc<World>,
    life: Arc<Life>,
    request: Request<kube_client::client::Body>,
) -> io::Result<Response<Late>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Request::from_parts(parts, body);
    let asked = Asked::of(&request);
    let (number, crash, [there, back]) = life.next_request(world.latency());
    if life.crashed.is_cancelled() || crash == Some(Crash::Before(number)) {
        return life.dies().await;
    }
    let carried = {
        let (world, life, asked) = (Arc::clone(&world), Arc::clone(&life), asked.clone());
        tokio::spawn(async move {
            sleep(there).await;
            world.arrive(&life, &asked, request).await
        })
    };
    let answer = carried.await.map_err(io::Error::other)?;
    if crash == Some(Crash::After(number)) {
        return life.dies().await;
    }
    sleep(back).await;
    let (parts, body) = answer?.into_parts();
    let Asked { resource, watch, .. } = asked;
    Ok(Response::from_parts(parts, Late { world, life, resource, watch, body, held: None, until: None }))
}

/// A request in the terms of the timeline.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: http::Method,
    /// `deployments`, `mcpservers/status`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// Empty for a collection.
    pub(crate) name: String,
    pub(crate) watch: bool,
}

impl Asked {
    /// Reads the path: `/api/v1/...` or `/apis/<group>/<version>/...`, then perhaps `namespaces/<namespace>`, then the
    /// resource.
    fn of(request: &Request<Bytes>) -> Self {
        let mut parts = request.uri().path().split('/').skip(1).peekable();
        let skipped = if parts.next() == Some("api") { 1 } else { 2 };
        let mut parts = parts.skip(skipped).peekable();
        let namespace = if parts.peek() == Some(&"namespaces") { parts.nth(1).unwrap_or_default() } else { "" };
        let resource = parts.next().unwrap_or_default();
        let name = parts.next().unwrap_or_default().to_owned();
        let resource = parts.next().map_or(resource.to_owned(), |sub| format!("{resource}/{sub}"));
        let watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        Self { method: request.method().clone(), resource, namespace: namespace.to_owned(), name, watch }
    }

    pub(crate) fn writes(&self) -> bool {
        self.method != http::Method::GET
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, resource, namespace, name, watch } = self;
        let verb = if *watch { "WATCH" } else { method.as_str() };
        write!(f, "{verb} {resource} {namespace}/{name}")
    }
}

/// Whole bodies are read once here, so that their text can be looked at.
pub(crate) async fn whole(response: Response<Body>) -> io::Result<(Response<Body>, Bytes)> {
    let (parts, body) = response.into_parts();
    let text = body.collect().await?.to_bytes();
    let body = Full::new(text.clone()).map_err(|never| match never {}).boxed_unsync();
    Ok((Response::from_parts(parts, body), text))
}

/// A body each piece of which comes as late as the weather has it for its resource: so the watches of two kinds show the
/// same moment at different times.
pub(crate) struct Late {
    world: Arc<World>,
    life: Arc<Life>,
    resource: String,
    /// Only watches are late, and lose anything.
    watch: bool,
    body: Body,
    /// What has come, and is not shown before `until`.
    held: Option<Result<Frame<Bytes>, io::Error>>,
    until: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Late {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.held.is_none() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else { return Poll::Ready(None) };
            if self.watch && self.life.loses_next() {
                self.world.cluster.compact();
                self.world.timeline.note("weather", format_args!("a piece of the watch of {} is lost", self.resource));
                return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "lost"))));
            }
            let late = self.world.lateness(self.life.instance, &self.resource);
            if late.is_zero() || !self.watch {
                return Poll::Ready(Some(frame));
            }
            self.held = Some(frame);
            self.until = Some(Box::pin(tokio::time::sleep_until(Instant::now() + late)));
        }
        if let Some(until) = &mut self.until {
            ready!(until.as_mut().poll(context));
            self.until = None;
        }
        Poll::Ready(self.held.take())
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
