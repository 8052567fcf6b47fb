//! The connection to the store, and the circuit breaker, which are one thing: an open circuit is a connection that is not there.
//!
//! A decision takes the connection or fails at once; it never waits for one. When the connection breaks, or several calls in a row fail, it is
//! dropped, and a task of its own connects anew and lets the script decide, and write, a charge of nobody before any decision is trusted to it. So a dead store
//! costs no latency, no request is the guinea pig, and recovery needs no restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bulkhead_tenancy::limit::{Rate, RateLimit};
use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{script, wire::Batch};
use crate::{
    ask::Ask,
    bucket::Bucket,
    charge::{Charge, Scope},
    key::Keyspace,
};

/// So many failures in a row open the circuit. A broken connection opens it at once.
const FAILURES: u32 = 3;

/// How long connecting, and each answer while probing, may take.
const CONNECT: Duration = Duration::from_secs(1);

/// The pauses between attempts to connect. They begin anew once a connection has held for the longest of them: a store that takes us and then
/// fails is not asked twenty times a second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The bucket that attempts are charged to: full again, and so gone from the store, within a millisecond or two.
const PROBE: RateLimit = RateLimit { rate: Rate { requests: 1_000, period_us: 1_000_000 }, capacity: 1_000 };

/// A connection that is there or not.
pub(super) struct Link {
    shared: Arc<Shared>,
    _supervisor: AbortOnDropHandle<()>,
}

struct Shared {
    connection: ArcSwapOption<Connection>,
    failures: AtomicU32,
    changed: Notify,
}

/// One connection; its identity says which one failed.
pub(super) struct Connection(MultiplexedConnection);

impl Connection {
    /// A handle for one call.
    pub(super) fn handle(&self) -> MultiplexedConnection {
        self.0.clone()
    }
}

impl Link {
    /// Begins to connect, and keeps at it.
    pub(super) fn start(client: Client) -> Self {
        let shared = Arc::new(Shared { connection: ArcSwapOption::empty(), failures: AtomicU32::new(0), changed: Notify::new() });
        let supervisor = AbortOnDropHandle::new(tokio::spawn(supervise(Arc::clone(&shared), client)));
        Self { shared, _supervisor: supervisor }
    }

    /// The connection, if the circuit is closed.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        self.shared.connection.load_full()
    }

    /// A call was answered.
    pub(super) fn succeeded(&self) {
        self.shared.failures.store(0, Ordering::Relaxed);
    }

    /// A call failed: late, or with an error.
    pub(super) fn failed(&self, connection: &Arc<Connection>, broken: bool) {
        let failures = self.shared.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if broken || failures >= FAILURES {
            self.open(connection);
        }
    }

    /// Opens the circuit, if this connection is still the one in use.
    fn open(&self, connection: &Arc<Connection>) {
        let previous = self.shared.connection.compare_and_swap(connection, None);
        if previous.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, connection)) {
            tracing::error!(store.state = "open", "the store is away: each tenant's failure mode answers until it is back");
            metrics::gauge!("bulkhead_ratelimit_store_connected").set(0.0);
            self.shared.changed.notify_one();
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

async fn supervise(shared: Arc<Shared>, client: Client) {
    metrics::gauge!("bulkhead_ratelimit_store_connected").set(0.0);
    let mut pause = PAUSE.0;
    let mut complaint = None;
    loop {
        match connect(&client).await {
            Ok(connection) => {
                shared.failures.store(0, Ordering::Relaxed);
                shared.connection.store(Some(Arc::new(Connection(connection))));
                metrics::gauge!("bulkhead_ratelimit_store_connected").set(1.0);
                tracing::info!(store.state = "closed", "the store decides");
                complaint = None;
                let since = Instant::now();
                shared.changed.notified().await;
                if since.elapsed() >= PAUSE.1 {
                    pause = PAUSE.0;
                }
            }
            Err(error) => {
                // Once an outage and reason, not once an attempt.
                let why = told(&error);
                if complaint.as_ref() != Some(&why) {
                    tracing::warn!(store.error = why, "cannot use the store");
                    complaint = Some(why);
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Connects, loads the script and lets it decide a charge of nobody, which it writes: a store that is loading, refuses us, or takes no writes (a
/// replica, a full memory) is not there yet.
async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(CONNECT));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let _: String = redis::cmd("SCRIPT").arg("LOAD").arg(script::SOURCE).query_async(&mut connection).await?;
    let nobody = Ask::one(Charge::new().hold(Scope::Tenant, Keyspace::default().probe(), Bucket::token(PROBE), 1));
    let mut batch = Batch::at(0);
    batch.ask(&nobody);
    let _: Vec<u8> = batch.command(None).query_async(&mut connection).await?;
    Ok(connection)
}

/// What may be said of an error: the system's own words for a broken connection, and a code for what the store answered, because an answer
/// may repeat what it was sent, a password included.
fn told(error: &RedisError) -> String {
    if error.is_io_error() { error.to_string() } else { error.code().unwrap_or(error.category()).to_owned() }
}
