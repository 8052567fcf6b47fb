//! Serves a router on the health and admin doors, and on what else of HTTP a service opens. Whoever reaches these ports can neither hold connections for free nor send more than a
//! small request.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bulkhead_proto::contract::header;
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

use crate::listener::{Conn, Listener};

/// How long an answer may take to be made.
const REQUEST: Duration = Duration::from_secs(10);
/// The largest head.
const HEAD_BYTES: usize = 16 * 1024;
/// The largest body.
const BODY_BYTES: usize = 1024 * 1024;

/// Who comes, and how long they stay.
#[derive(Debug, Clone, Copy)]
pub struct Guests {
    /// Whether a connection may ask more than once. Where it may not, no time-out falls between two requests.
    pub keep_alive: bool,
    /// How long a client may take to send the head of its request, from when it connects or was answered last.
    pub head: Duration,
    /// How long a connection lives, whatever its client does: one that asks and never reads the answer would keep its place for ever.
    pub connection: Duration,
    /// How many connections at a time.
    pub connections: usize,
    /// How many of them one source may have (an IPv4 address, an IPv6 /64): who holds all of its own does not keep others out.
    pub per_source: usize,
}

impl Guests {
    /// Probes, scrapes and people: seldom, one request each.
    pub const FEW: Self =
        Self { keep_alive: false, head: Duration::from_secs(5), connection: Duration::from_secs(15), connections: 256, per_source: 64 };

    /// Programs that ask all the time, perhaps all through one proxy.
    pub const MANY: Self = Self {
        keep_alive: true,
        head: Duration::from_secs(60),
        connection: Duration::from_secs(600),
        connections: 4_096,
        per_source: 2_048,
    };
}

/// Serves until `stop` ends, then finishes the requests in progress.
pub async fn serve(listener: Listener, router: Router, guests: Guests, stop: impl Future<Output = ()>) {
    let router =
        router.layer(DefaultBodyLimit::max(BODY_BYTES)).layer(middleware::from_fn(in_time)).layer(middleware::from_fn(from_outside));
    let places = Arc::new(Semaphore::new(guests.connections));
    let sources = Sources { most: guests.per_source, counts: Arc::default() };
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
        let Some(share) = sources.admit(&conn) else { continue };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(guests.keep_alive)
            .header_read_timeout(guests.head)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(conn), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What a client does wrong on its own connection is not an event of ours.
            let _ = tokio::time::timeout(guests.connection, connection).await;
            drop((place, share));
        });
    }
    drop(incoming);
    graceful.shutdown().await;
}

/// How many connections each source has.
#[derive(Clone)]
struct Sources {
    most: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of a source's connections; dropped with it.
struct Share(Option<(Sources, IpAddr)>);

impl Sources {
    /// A share for a connection, if its source has one left. Who comes over a unix socket may open its file, and is not counted.
    fn admit(&self, conn: &Conn) -> Option<Share> {
        let Some(peer) = conn.connect_info() else { return Some(Share(None)) };
        let source = source(peer.ip());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share(Some((self.clone(), source))))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((sources, source)) = &self.0 else { return };
        let mut counts = sources.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(*source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Whoever has one address of an IPv6 /64 has them all.
fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

/// Nothing here is an upstream: a tenant whose contract's host resolves to this machine would read what tells of all tenants (S3, S22). ext-authz marks whatever
/// it lets through, and Envoy sets the mark in place of the client's.
async fn from_outside(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::HOP) {
        return StatusCode::LOOP_DETECTED.into_response();
    }
    next.run(request).await
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST, next.run(request)).await.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}
