//! The gRPC door: where Envoy calls. Health answers beside the service.
//!
//! The methods that Envoy calls for every request are [`Unary`]: read, decided and answered in the connection's own task where they need not wait. All other
//! methods (health, streams) are routed.

mod answer;
mod inline;
mod slices;
mod turns;
mod unary;

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_stream::StreamExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::Service as _;

pub use self::unary::{Askable, Sayable, Unary, Unread, unreadable};
use self::{
    answer::Answer,
    inline::Inline,
    slices::{Slice, Sliced},
    turns::Turns,
};
use crate::{fatal::Fatal, listener::Listener, run::Readiness};

/// Calls in progress on one connection. Envoy opens one connection a worker and sends everything over it: a low bound would queue tenants
/// behind each other inside Envoy.
const STREAMS: u32 = 16_384;
/// What a call may bring ahead of what was read of it: a large message comes in pieces, between which Envoy sends those of other calls.
const STREAM_WINDOW: u32 = 128 << 10;
/// The same of all calls of a connection together: those of two thousand. Where it is used up nothing comes any more for anybody, so calls that are not read at this moment (streams
/// whose tenant has enough in progress, or many large messages on their way) must not come near it.
const CONNECTION_WINDOW: u32 = 2048 * STREAM_WINDOW;
/// The largest list of request headers (gRPC metadata, not the headers of the request that is judged).
const HEADER_LIST: u32 = 16 * 1024;
/// Calls that Envoy gave up on (its time-out is a RST_STREAM) before we looked at them. Past this bound h2 closes the connection, and
/// with it the calls of every tenant; its default of 20 is for hostile peers, and this door's only peer is Envoy (S2).
const RESET_STREAMS: usize = STREAMS as usize;
/// How often an idle connection is probed, and how long an answer may take: a dead Envoy's connections go away.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How soon a change of readiness shows in gRPC health.
const HEALTH_PERIOD: Duration = Duration::from_millis(50);

/// What is behind the door.
#[derive(Clone)]
pub(crate) struct Calls {
    methods: Arc<[Unary]>,
    routes: Routes,
}

impl Calls {
    pub(crate) fn new(methods: Vec<Unary>, routes: Routes) -> Self {
        Self { methods: methods.into(), routes: routes.prepare() }
    }
}

impl Service<Request<Incoming>> for Calls {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match self.methods.iter().find(|method| method.path() == request.uri().path()) {
            Some(method) => method.answer(request),
            None => {
                let routed = self.routes.clone().call(request);
                Box::pin(async move { Ok(routed.await?.map(Answer::Routed)) })
            }
        }
    }
}

/// Serves, and health, until `stop` ends; then Envoy is told to go away (GOAWAY) and calls in progress are finished. With an age, so is a
/// connection that reached it. No time is set for those calls.
///
/// # Errors
/// Nothing accepts connections any more.
pub(crate) async fn serve(listener: Listener, calls: Calls, age: Option<Duration>, stop: impl Future<Output = ()>) -> Result<(), Fatal> {
    let server = |calls: Inline| {
        let mut server = http2::Builder::new(calls);
        server
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(RESET_STREAMS)
            .keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1);
        server
    };
    let (end, connections) = (CancellationToken::new(), TaskTracker::new());
    let mut incoming = listener.incoming();
    let mut stop = std::pin::pin!(stop);
    loop {
        let conn = tokio::select! {
            () = &mut stop => break,
            conn = incoming.next() => match conn {
                Some(Ok(conn)) => conn,
                Some(Err(_)) => continue,
                None => return Err(Fatal::failed("the gRPC door broke: nothing accepts connections any more")),
            },
        };
        let (begun, slice) = (Inline::default(), Slice::default());
        let conn = TokioIo::new(Sliced::new(conn, slice.clone()));
        let connection = server(begun.clone()).serve_connection(conn, calls.clone());
        let end = end.clone();
        connections.spawn(async move {
            let mut connection = Turns::new(Box::pin(connection), begun, slice);
            let old = async {
                match age {
                    Some(age) => tokio::time::sleep(age).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // What a client does wrong on its own connection is not an event of ours.
                _ = &mut connection => return,
                () = end.cancelled() => {}
                () = old => {}
            }
            connection.connection().as_mut().graceful_shutdown();
            let _ = connection.await;
        });
    }
    // Closes the address: whoever comes now must find another replica, not a queue.
    drop(incoming);
    end.cancel();
    connections.close();
    connections.wait().await;
    Ok(())
}

/// Tells gRPC health what readiness is, for `""` and the services' names, for as long as it is polled.
pub(crate) async fn report_health(reporter: HealthReporter, services: &'static [&'static str], readiness: Readiness) {
    let mut tick = tokio::time::interval(HEALTH_PERIOD);
    let mut told = None;
    loop {
        let ready = readiness.why_not().is_none();
        if told != Some(ready) {
            set_health(&reporter, services, ready).await;
            told = Some(ready);
        }
        tokio::select! {
            _ = tick.tick() => {}
            () = readiness.draining(), if ready => {}
        }
    }
}

/// Sets gRPC health for `""` and the services' names.
pub(crate) async fn set_health(reporter: &HealthReporter, services: &[&str], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in std::iter::once("").chain(services.iter().copied()) {
        reporter.set_service_status(service, status).await;
    }
}
