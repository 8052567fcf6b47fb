//! The connection to the store, and the circuit breaker, which are one thing: an open circuit is a connection that is not there.
//!
//! A decision takes the connection or fails at once; it never waits for one. When the connection breaks, or several calls in a row fail, it is
//! dropped, and a task of its own connects anew and lets the script decide, and write, a charge of nobody before any decision is trusted to it. So a dead store
//! costs no latency, no request is the guinea pig, and recovery needs no restart.

mod call;
mod route;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use redis::{RedisError, aio::MultiplexedConnection};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::{
    call::{CallError, Manner},
    route::Route,
};

/// So many failures in a row open the circuit. A broken connection opens it at once.
const FAILURES: u32 = 3;

/// The pauses between attempts to connect. They begin anew once a connection has held for the longest of them: a store that takes us and then
/// fails is not asked twenty times a second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A connection that is there or not.
pub(super) struct Link {
    shared: Arc<Shared>,
    _supervisor: AbortOnDropHandle<()>,
}

struct Shared {
    /// For logs and metrics.
    name: Arc<str>,
    connection: ArcSwapOption<Connection>,
    failures: AtomicU32,
    changed: Notify,
}

/// One connection; its identity says which one failed.
struct Connection(MultiplexedConnection);

impl Connection {
    /// A handle for one call.
    fn handle(&self) -> MultiplexedConnection {
        self.0.clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.connected(false);
    }
}

impl Link {
    /// Begins to connect, and keeps at it.
    pub(super) fn start(route: Route, name: &str) -> Self {
        let shared = Arc::new(Shared {
            name: Arc::from(name),
            connection: ArcSwapOption::empty(),
            failures: AtomicU32::new(0),
            changed: Notify::new(),
        });
        let supervisor = AbortOnDropHandle::new(tokio::spawn(supervise(Arc::clone(&shared), route)));
        Self { shared, _supervisor: supervisor }
    }

    /// Whether decisions are sent over it now.
    pub(super) fn is_closed(&self) -> bool {
        self.shared.connection.load().is_some()
    }

    /// A handle for a question that is no decision, if the circuit is closed.
    pub(super) fn handle(&self) -> Option<MultiplexedConnection> {
        self.connection().map(|connection| connection.handle())
    }

    /// The connection, if the circuit is closed.
    fn connection(&self) -> Option<Arc<Connection>> {
        self.shared.connection.load_full()
    }

    /// A call was answered.
    fn succeeded(&self) {
        self.shared.failures.store(0, Ordering::Relaxed);
    }

    /// A call failed: late, or with an error.
    fn failed(&self, connection: &Arc<Connection>, broken: bool) {
        let failures = self.shared.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if broken || failures >= FAILURES {
            self.shared.open(connection);
        }
    }

    /// Waits until the circuit is closed, for as long as is allowed.
    pub(super) async fn ready(&self, within: Duration) -> bool {
        let poll = async {
            while self.shared.connection.load().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(within, poll).await.is_ok()
    }
}

impl Shared {
    /// Opens the circuit, if this connection is still the one in use, and has it connected anew.
    fn open(&self, connection: &Arc<Connection>) {
        if self.leave(connection) {
            self.changed.notify_one();
        }
    }

    fn connected(&self, yes: bool) {
        metrics::gauge!("bulkhead_ratelimit_store_connected", "store" => self.name.to_string()).set(if yes { 1.0 } else { 0.0 });
    }

    /// Drops this connection, if it is still the one in use.
    fn leave(&self, connection: &Arc<Connection>) -> bool {
        let previous = self.connection.compare_and_swap(connection, None);
        let left = previous.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, connection));
        if left {
            tracing::error!(
                store.name = &*self.name,
                store.state = "open",
                "the store is away: each tenant's failure mode answers until it is back"
            );
            self.connected(false);
        }
        left
    }
}

async fn supervise(shared: Arc<Shared>, route: Route) {
    shared.connected(false);
    let mut pause = PAUSE.0;
    let mut complaint = None;
    loop {
        match route.connect().await {
            Ok((connection, primary)) => {
                shared.failures.store(0, Ordering::Relaxed);
                let connection = Arc::new(Connection(connection));
                shared.connection.store(Some(Arc::clone(&connection)));
                shared.connected(true);
                tracing::info!(store.name = &*shared.name, store.state = "closed", "the store decides");
                complaint = None;
                let since = Instant::now();
                tokio::select! {
                    () = shared.changed.notified() => {}
                    () = route.replaced(primary.as_ref()) => drop(shared.leave(&connection)),
                }
                if since.elapsed() >= PAUSE.1 {
                    pause = PAUSE.0;
                }
            }
            Err(error) => {
                // Once an outage and reason, not once an attempt.
                let why = told(&error);
                if complaint.as_ref() != Some(&why) {
                    tracing::warn!(store.name = &*shared.name, store.error = why, "cannot use the store");
                    complaint = Some(why);
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// What may be said of an error: the system's own words for a broken connection, and a code for what the store answered, because an answer
/// may repeat what it was sent, a password included.
pub(super) fn told(error: &RedisError) -> String {
    if error.is_io_error() { error.to_string() } else { error.code().unwrap_or(error.category()).to_owned() }
}
