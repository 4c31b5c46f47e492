//! Requests that travel ahead: all of a request's body is sent at once but for its end, which is held back until the call
//! may take effect. Meanwhile the line is used, and the service, which acts on whole requests only, does nothing.
//!
//! A request is signed with its whole body, so the end can be held back without the service noticing anything but a slow
//! line. A byte every few seconds keeps idle timeouts away. Whatever goes wrong before the end was sent (the far end cuts,
//! answers early, refuses) has had no effect: the call is then made as if nothing had been sent.

use std::error::Error;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::call::{AwsCall, Record, STEP};
use super::connect::Aws;
use super::error::{CallError, Meaning};

/// How many bytes are held back: the last one, and one for each trickle.
const END: usize = 256;

/// How often a byte of the end is sent. Idle timeouts of fronts and proxies are ten seconds and more.
const TRICKLE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 3000 });

/// The pieces in which the body is given to the connection.
const PIECE: usize = 64 << 10;

/// The least share of the line, in KiB: each request takes a connection.
const LEAST_SHARE: usize = 4 << 10;

/// AWS takes a signature for five minutes (IAM user guide, Signature Version 4); clocks differ, and the end must travel, too.
pub const SIGNATURE_LIFE: Duration = Duration::from_secs(4 * 60);

/// Holds back the end of one request's body, until it is let go.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// One of the states below; it only grows.
    state: AtomicU8,
    /// When the request was signed; `None` until then.
    signed: Mutex<Option<SystemTime>>,
    body: AtomicWaker,
}

/// The end is held back.
const HELD: u8 = 0;
/// The end may be sent.
const LET_GO: u8 = 1;
/// The end was given to the connection: from now on the request may have been carried out.
const SENT: u8 = 2;
/// The end is never sent.
const SHUT: u8 = 3;

impl Gate {
    /// Lets the end go. Returns whether it may still be: not if the request is not signed yet, or was too long ago.
    fn open(&self, now: SystemTime) -> bool {
        let signed = *self.0.signed.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back says nothing about the signature's age.
        let age = signed.and_then(|signed| now.duration_since(signed).ok());
        if age.is_some_and(|age| age < SIGNATURE_LIFE) {
            let opened = self.0.state.compare_exchange(HELD, LET_GO, Ordering::AcqRel, Ordering::Acquire);
            self.0.body.wake();
            return opened.is_ok();
        }
        false
    }

    /// Keeps the end back for ever. Returns whether that was in time: the connection is a task of its own, which may take
    /// the end at any moment.
    fn shut(&self) -> bool {
        let unless_sent = |state| (state != SENT).then_some(SHUT);
        self.0.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, unless_sent).is_ok()
    }
}

/// Puts the gate into a request that is signed.
impl Intercept for Gate {
    fn name(&self) -> &'static str {
        "Gate"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = mem::replace(context.request_mut().body_mut(), SdkBody::taken());
        // A body in memory is ready, and is not copied.
        let body = body.collect().now_or_never().ok_or("only a body in memory can be held back")??.to_bytes();
        *self.0.signed.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
        *context.request_mut().body_mut() = SdkBody::from_body_1_x(HeldBody::new(body, self.clone()));
        Ok(())
    }
}

/// A body whose end waits for its gate.
struct HeldBody {
    ahead: Bytes,
    end: Bytes,
    gate: Gate,
    trickle: Pin<Box<Sleep>>,
}

impl HeldBody {
    fn new(mut body: Bytes, gate: Gate) -> Self {
        let end = body.split_off(body.len().saturating_sub(END));
        Self { ahead: body, end, gate, trickle: Box::pin(tokio::time::sleep(TRICKLE)) }
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let data = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if !this.ahead.is_empty() {
            let piece = this.ahead.len().min(PIECE);
            return data(this.ahead.split_to(piece));
        }
        if this.end.is_empty() {
            return Poll::Ready(None);
        }
        // Registered first, so that a gate that opens in between is not missed.
        this.gate.0.body.register(cx.waker());
        match this.gate.0.state.compare_exchange(LET_GO, SENT, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return data(mem::take(&mut this.end)),
            Err(SHUT) => return Poll::Ready(Some(Err("the request was given up".into()))),
            Err(_) => {}
        }
        // The last byte is never part of the trickle.
        if this.end.len() > 1 && this.trickle.as_mut().poll(cx).is_ready() {
            this.trickle.as_mut().reset(Instant::now() + TRICKLE);
            return data(this.end.split_to(1));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.end.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.ahead.len() + self.end.len()) as u64)
    }
}

/// A call whose request travels ahead. Dropped, it has had no effect.
pub struct Ahead<'a, T> {
    aws: &'a Aws,
    call: AwsCall<'a>,
    gate: Gate,
    /// How long the call may take once it is let go.
    timeout: Duration,
    began: Instant,
    state: State<'a, T>,
    /// Its share of what may be on its way.
    _share: SemaphorePermit<'a>,
}

enum State<'a, T> {
    Traveling(BoxFuture<'a, Result<T, CallError>>),
    /// It ended before it was let go.
    Ended(Result<T, CallError>),
    LetGo,
}

/// What became of a call that was let go.
pub enum Arrival<T> {
    /// It was carried out or refused, or that is unknown: the answer, and how long it took from letting go.
    Answered(Result<T, CallError>, Duration),
    /// It had no effect, because its end was never sent or it came at a bad time: it is still to be made.
    Never,
}

impl Aws {
    /// Sends a call of about `bytes` ahead; `None` if too much is on its way already. `request` makes the request, with the
    /// gate as an interceptor, and without a limit on the time that an attempt may take: `timeout` is that limit from letting
    /// go on.
    pub fn ahead<'a, T, E, F>(
        &'a self,
        call: AwsCall<'a>,
        bytes: usize,
        timeout: Duration,
        request: impl FnOnce(Gate) -> F,
    ) -> Option<Ahead<'a, T>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let share = u32::try_from((bytes >> 10).max(LEAST_SHARE)).ok()?;
        let share = self.line.try_acquire_many(share).ok()?;
        let gate = Gate::default();
        let (service, operation) = (call.service, call.operation);
        let answer =
            request(gate.clone()).map(move |result| result.map_err(|error| CallError::of(service, operation, &error)));
        let state = State::Traveling(answer.boxed());
        Some(Ahead { aws: self, call, gate, timeout, began: Instant::now(), state, _share: share })
    }
}

impl<T> Ahead<'_, T> {
    /// Does `main` while the request travels.
    pub async fn beside<R>(&mut self, main: impl Future<Output = R>) -> R {
        let mut main = std::pin::pin!(main);
        std::future::poll_fn(|cx| {
            self.travel(cx);
            main.as_mut().poll(cx)
        })
        .await
    }

    fn travel(&mut self, cx: &mut Context<'_>) {
        if let State::Traveling(answer) = &mut self.state
            && let Poll::Ready(result) = answer.poll_unpin(cx)
        {
            self.record(self.began, &result);
            if let Err(error) = &result {
                tracing::debug!(%error, "ended before it was let go");
            }
            self.state = State::Ended(result);
        }
    }

    /// Whether it has ended although its end was held back: whatever it was answered, it had no effect.
    #[cfg(test)]
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Ended(Err(_)))
    }

    /// Lets the call take effect, and waits for its answer.
    pub async fn let_go(mut self) -> Arrival<T> {
        // The quota counts requests that are whole.
        let AwsCall { service, operation, .. } = self.call;
        self.beside(self.aws.pace.permit(service, operation)).await;
        let mut answer = match mem::replace(&mut self.state, State::LetGo) {
            State::Ended(Ok(answer)) => return Arrival::Answered(Ok(answer), Duration::ZERO),
            State::Traveling(answer) if self.gate.open(SystemTime::now()) => answer,
            _ => return Arrival::Never,
        };
        let started = Instant::now();
        let result = tokio::time::timeout(self.timeout, &mut answer).await;
        let result = result.unwrap_or_else(|_| Err(self.unanswered()));
        self.record(started, &result);
        // The line becomes faster and slower by these calls as by others.
        match &result {
            Ok(_) => self.aws.pace.succeeded(service, operation, started),
            Err(error) if error.is(Meaning::Throttled) => {
                self.aws.pace.throttled(service, operation, started);
            }
            Err(_) => {}
        }
        match result {
            Err(error) if self.gate.shut() => {
                tracing::debug!(%error, "its end was not sent");
                Arrival::Never
            }
            Err(error) if error.is(Meaning::Throttled) || error.is(Meaning::Busy) => Arrival::Never,
            result => Arrival::Answered(result, started.elapsed()),
        }
    }

    fn unanswered(&self) -> CallError {
        CallError {
            operation: format!("{}.{}", self.call.service, self.call.operation),
            meaning: Meaning::Unknown,
            code: String::new(),
            message: format!("no answer within {} s", self.timeout.as_secs()),
            request_id: None,
            retry_after: None,
            unreached: None,
            is_late: false,
        }
    }

    fn record(&self, started: Instant, result: &Result<T, CallError>) {
        self.aws.record(Record {
            step: STEP.try_with(|step| *step).ok(),
            service: self.call.service,
            operation: self.call.operation,
            started,
            ended: Instant::now(),
            refused: result.as_ref().err().map(|error| error.code.clone()),
        });
    }
}

#[cfg(test)]
mod tests;
