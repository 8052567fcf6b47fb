//! The gRPC door: where Envoy calls. Health answers beside the service.

use std::{future::Future, time::Duration};

use tonic::{service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{fatal::Fatal, listener::Listener, run::Readiness};

/// Calls in progress on one connection. Envoy opens one connection a worker and sends everything over it: a low bound would queue tenants
/// behind each other inside Envoy.
const STREAMS: u32 = 16_384;
/// The largest list of request headers (gRPC metadata, not the headers of the request that is judged).
const HEADER_LIST: u32 = 16 * 1024;
/// Calls that Envoy gave up on (its time-out is a RST_STREAM) before we looked at them. Past this bound h2 closes the connection, and
/// with it the calls of every tenant; its default of 20 is for hostile peers, and this door's only peer is Envoy (S2).
const RESET_STREAMS: usize = STREAMS as usize;
/// How often an idle connection is probed, and how long an answer may take: a dead Envoy's connections go away.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How soon a change of readiness shows in gRPC health.
const HEALTH_PERIOD: Duration = Duration::from_millis(50);

/// Serves `routes`, and health, until `stop` ends; then Envoy is told to go away (GOAWAY) and calls in progress are finished. With an age, so is a
/// connection that reached it. No time is set for those calls: tonic's grace takes the place of GOAWAY, and cuts the connection off in its calls.
///
/// # Errors
/// The server broke.
pub(crate) async fn serve(listener: Listener, routes: Routes, age: Option<Duration>, stop: impl Future<Output = ()>) -> Result<(), Fatal> {
    let server = Server::builder();
    let server = match age {
        Some(age) => server.max_connection_age(age),
        None => server,
    };
    server
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADER_LIST)
        .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS))
        .http2_max_local_error_reset_streams(Some(RESET_STREAMS))
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .add_routes(routes)
        .serve_with_incoming_shutdown(listener.incoming(), stop)
        .await
        .map_err(|why| Fatal::failed(format!("the gRPC door broke: {why}")))
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
