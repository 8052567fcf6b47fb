//! Serves a router on the health and admin doors. Whoever reaches these ports can neither hold connections for free nor send more than a
//! small request.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;

use crate::listener::Listener;

/// How long a client may take to send the head of its request.
const HEAD: Duration = Duration::from_secs(5);
/// How long an answer may take to be made.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a connection lives, whatever its client does: one that asks and never reads the answer would keep its place for ever.
const CONNECTION: Duration = Duration::from_secs(15);
/// The largest head.
const HEAD_BYTES: usize = 16 * 1024;
/// The largest body.
const BODY_BYTES: usize = 1024 * 1024;
/// How many connections at a time.
const CONNECTIONS: usize = 256;

/// Serves until `stop` ends, then finishes the requests in progress.
pub(crate) async fn serve(listener: Listener, router: Router, stop: impl Future<Output = ()>) {
    let router = router.layer(DefaultBodyLimit::max(BODY_BYTES)).layer(middleware::from_fn(in_time));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut incoming = listener.incoming();
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = Arc::clone(&places);
        let next = async {
            let place = place.acquire_owned().await.ok()?;
            Some((incoming.next().await?.ok()?, place))
        };
        let (conn, place) = tokio::select! {
            () = &mut stop => break,
            next = next => match next { Some(next) => next, None => break },
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // One request a connection, so that no time-out falls between two of them.
            .keep_alive(false)
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(conn), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What a client does wrong on its own connection is not an event of ours.
            let _ = tokio::time::timeout(CONNECTION, connection).await;
            drop(place);
        });
    }
    drop(incoming);
    graceful.shutdown().await;
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST, next.run(request)).await.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}
