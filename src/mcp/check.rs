//! The acting part: a connection, a request, an answer, and the clock.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Failure, Head, Reader};
use super::conversation::{Conversation, Turn};
use super::dial::Dialer;
use super::request::Expects;
use super::{Era, Target, Verdict};

/// What one check may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first connection to the last answer.
    pub time: Duration,
    /// Of the bodies of all answers together.
    pub bytes: usize,
}

impl Default for Limits {
    /// 5 s, 1 MiB.
    fn default() -> Self {
        Self { time: Duration::from_secs(5), bytes: 1 << 20 }
    }
}

/// The head of an answer may take this many bytes. hyper also reads bodies in pieces of at most this size.
const HEAD: usize = 16 << 10;
/// Of the time, this share is kept back for the end of a session.
const FAREWELL: u32 = 5;

/// Checks servers.
#[derive(Debug, Clone, Default)]
pub struct Prober {
    limits: Limits,
    dialer: Dialer,
}

impl Prober {
    /// A prober whose checks keep within `limits`.
    pub fn new(limits: Limits, dialer: Dialer) -> Self {
        Self { limits, dialer }
    }

    /// Asks the server at `target` whether it speaks MCP; see the [chapter](super). `remembered` is the [`Era`] that the
    /// last check found.
    ///
    /// Not cancel-safe: if it is dropped, a session may stay open in the server.
    pub async fn check(&self, target: &Target, remembered: Option<Era>) -> Verdict {
        let Limits { time, bytes } = self.limits;
        let started = Instant::now();
        let mut left = bytes;
        let mut conversation = Conversation::new(remembered);
        loop {
            let ask = conversation.ask();
            let (request, expects) = (ask.request(conversation.id(), target), ask.expects(conversation.id()));
            let time = if conversation.has_to_leave() { time.saturating_sub(time / FAREWELL) } else { time };
            let mut began = false;
            let exchange = self.exchange(target, request, expects, &mut left, &mut began);
            let heard = timeout_at(started + time, exchange).await;
            let turn = match heard {
                Ok(Ok(answer)) => conversation.heard(&answer),
                Ok(Err(failure)) => conversation.failed(failure),
                Err(_elapsed) if began => {
                    conversation.failed(Failure::Incomplete(format!("no end of the answer within {time:?}")))
                }
                Err(_elapsed) => conversation.failed(Failure::NoAnswer(format!("no answer within {time:?}"))),
            };
            match turn {
                Turn::Ask(next) => conversation = next,
                Turn::Over(verdict) => return verdict,
            }
        }
    }

    /// One request on a connection of its own. `began` is set when the head of the answer is there; what is read of the body is
    /// taken from `left`.
    async fn exchange(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        expects: Expects,
        left: &mut usize,
        began: &mut bool,
    ) -> Result<Answer, Failure> {
        let dialing = self.dialer.dial(target.address);
        let stream = dialing.await.map_err(|error| Failure::NoAnswer(io_words(&error)))?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failure(&error))?;
        let mut talk = pin!(talk(sender, request, expects, left, began));
        // Driven here and not in a task: when this returns, whatever the reason, the connection is closed.
        let mut connection = Box::pin(connection);
        tokio::select! {
            biased;
            answer = &mut talk => return answer,
            _ended = &mut connection => {}
        }
        // It is complete or broken. Once it is dropped, `talk` gets what was read, and the error.
        drop(connection);
        talk.await
    }
}

async fn talk(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    expects: Expects,
    left: &mut usize,
    began: &mut bool,
) -> Result<Answer, Failure> {
    let response = sender.send_request(request).await.map_err(|error| failure(&error))?;
    *began = true;
    let (parts, body) = response.into_parts();
    let head = Head::new(parts.status, &parts.headers);
    let reader = Reader::new(&head, expects);
    Ok(Answer { body: read(body, reader, left).await?.finish(), head })
}

async fn read(mut body: Incoming, mut reader: Reader, left: &mut usize) -> Result<Reader, Failure> {
    while !reader.is_done() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| failure(&error))?;
        // Trailers are of no interest.
        let Some(chunk) = frame.data_ref() else { continue };
        reader.feed(chunk, left)?;
    }
    Ok(reader)
}

/// What an error of hyper says about the server. hyper's own words may change with its version, so they are not used.
fn failure(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return Failure::NotHttp("headers without an end".to_owned());
    }
    if error.is_parse() {
        return Failure::NotHttp("this is no HTTP/1.1".to_owned());
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Failure::NoAnswer("the connection was closed without an answer".to_owned());
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            Failure::NotHttp("the body is no HTTP/1.1".to_owned())
        }
        Some(error) => Failure::Incomplete(io_words(error)),
        None => Failure::Incomplete("the connection broke".to_owned()),
    }
}

/// `connection refused`, without the number.
fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the answer breaks off".to_owned(),
        kind => kind.to_string(),
    }
}
