//! Redis (6.2 and later) or Valkey: one script decides a batch in one atomic step.
//!
//! No batch is ever sent twice after its outcome became unknown (S12, S24): a late answer, a broken connection or an error is reported, and
//! the failure mode answers. The one thing that is repeated is a batch that the store says it never ran (NOSCRIPT: it was restarted or its
//! scripts were flushed).

mod link;
mod script;
pub(crate) mod wire;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::{Client, ErrorKind, RedisError, ServerErrorKind, aio::MultiplexedConnection};

use self::link::{Connection, Link};
use super::{Micros, Store, StoreError};
use crate::{
    charge::{Charge, MAX_ENTRIES},
    outcome::Outcome,
};

/// How many entries one call may hold. Lua passes the distinct keys as arguments, of which it takes fewer than 8,000.
const CALL_ENTRIES: usize = 4096;

/// Buckets in a Redis or Valkey.
pub struct RedisStore {
    link: Link,
    deadline: Duration,
}

impl RedisStore {
    /// Begins to connect in the background; until there is a connection every batch fails at once.
    #[must_use]
    pub fn start(client: Client, deadline: Duration) -> Self {
        Self { link: Link::start(client), deadline }
    }

    /// Waits for a connection, for as long as is allowed.
    pub async fn ready(&self, within: Duration) -> bool {
        self.link.ready(within).await
    }

    async fn call(&self, now: Option<Micros>, charges: &[Charge]) -> Result<Vec<Outcome>, StoreError> {
        let connection = self.link.connection().ok_or(StoreError::Away)?;
        let command = wire::command(now, &wire::encode(charges));

        // Whoever stops waiting for us (a caller's own deadline) must not hide a store that hangs from the breaker.
        let watch = Watch { link: &self.link, connection: &connection, settled: false };
        match tokio::time::timeout(self.deadline, run(connection.handle(), &command)).await {
            Ok(Ok(reply)) => {
                watch.succeeded();
                wire::decode(charges, &reply)
            }
            Ok(Err(error)) => {
                watch.failed(error.is_unrecoverable_error());
                Err(StoreError::Refused(error.code().unwrap_or(error.category()).to_owned()))
            }
            Err(_) => {
                watch.failed(false);
                Err(StoreError::Late)
            }
        }
    }
}

/// Runs the script; loads it once more if the store says that it does not know it and so has run nothing.
async fn run(mut connection: MultiplexedConnection, command: &redis::Cmd) -> Result<Vec<u8>, RedisError> {
    match command.query_async(&mut connection).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            let _: String = redis::cmd("SCRIPT").arg("LOAD").arg(script::SOURCE).query_async(&mut connection).await?;
            command.query_async(&mut connection).await
        }
        other => other,
    }
}

/// One call under the breaker's eyes. Dropped before it settled, it counts as a failure.
struct Watch<'l> {
    link: &'l Link,
    connection: &'l Arc<Connection>,
    settled: bool,
}

impl Watch<'_> {
    fn succeeded(mut self) {
        self.settled = true;
        self.link.succeeded();
    }

    fn failed(mut self, broken: bool) {
        self.settled = true;
        self.link.failed(self.connection, broken);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.link.failed(self.connection, false);
        }
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn decide(&self, now: Option<Micros>, charges: &[Charge]) -> Result<Vec<Outcome>, StoreError> {
        if charges.iter().any(|charge| charge.entries().len() > MAX_ENTRIES) {
            return self.without_oversized(now, charges).await;
        }
        let mut outcomes = Vec::with_capacity(charges.len());
        for call in charges.chunks(CALL_ENTRIES / MAX_ENTRIES) {
            outcomes.extend(self.call(now, call).await?);
        }
        Ok(outcomes)
    }
}

impl RedisStore {
    /// The rare batch with a charge that no store decides: that one is faulty, the others are decided.
    async fn without_oversized(&self, now: Option<Micros>, charges: &[Charge]) -> Result<Vec<Outcome>, StoreError> {
        let fine: Vec<Charge> = charges.iter().filter(|charge| charge.entries().len() <= MAX_ENTRIES).cloned().collect();
        let mut decided = Box::pin(self.decide(now, &fine)).await?.into_iter();
        let outcome = |charge: &Charge| {
            if charge.entries().len() > MAX_ENTRIES { Some(Outcome::faulty()) } else { decided.next() }
        };
        charges.iter().map(outcome).collect::<Option<Vec<_>>>().ok_or(StoreError::Garbled)
    }
}
