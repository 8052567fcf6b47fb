//! How a link finds what it connects to, and what it makes sure of before any decision is trusted to it.

use std::time::Duration;

use bulkhead_tenancy::limit::{Rate, RateLimit};
use redis::{ErrorKind, RedisError, ServerErrorKind, aio::MultiplexedConnection};

use super::super::{
    address::HostPort,
    dial::Node,
    script,
    sentinel::{self, Sentinels},
    wire::Batch,
};
use crate::{
    ask::Ask,
    bucket::Bucket,
    charge::{Charge, Scope},
    key::Keyspace,
};

/// How long connecting, and each answer while probing, may take.
const CONNECT: Duration = Duration::from_secs(1);

/// How long an answer may take after that, as far as the connection knows. A call has a deadline of its own, which an operator may set to
/// more than a second (REDIS_TIMEOUT).
const ANSWER: Duration = Duration::from_secs(600);

/// The bucket that attempts are charged to: full again, and so gone from the store, within a millisecond or two.
const PROBE: RateLimit = RateLimit { rate: Rate { requests: 1_000, period_us: 1_000_000 }, capacity: 1_000 };

/// What a link connects to.
pub(in crate::store::redis) enum Route {
    /// Always the same server.
    Server(Node),
    /// Whoever the sentinels name.
    Sentinels(Sentinels),
    /// A node of a cluster: it says of the probe that it is another node's, and that is as good an answer.
    Node(Node),
}

impl Route {
    /// Connects, loads the script and lets it decide a charge of nobody, which it writes: a store that is loading, refuses us, or takes no writes
    /// (a replica, a full memory) is not there yet. With sentinels, who was connected to is returned.
    pub(super) async fn connect(&self) -> Result<(MultiplexedConnection, Option<HostPort>), RedisError> {
        let (mut connection, primary) = self.probed().await?;
        connection.set_response_timeout(ANSWER);
        Ok((connection, primary))
    }

    async fn probed(&self) -> Result<(MultiplexedConnection, Option<HostPort>), RedisError> {
        match self {
            Self::Server(node) => {
                let mut connection = node.connect(CONNECT).await?;
                probe(&mut connection).await?;
                Ok((connection, None))
            }
            Self::Sentinels(sentinels) => {
                let (primary, node) = sentinels.primary().await?;
                let mut connection = node.connect(CONNECT).await?;
                sentinel::verify(&mut connection).await?;
                probe(&mut connection).await?;
                Ok((connection, Some(primary)))
            }
            Self::Node(node) => {
                let mut connection = node.connect(CONNECT).await?;
                match probe(&mut connection).await {
                    Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => Ok((connection, None)),
                    Err(error) => Err(error),
                    Ok(()) => Ok((connection, None)),
                }
            }
        }
    }

    /// Returns once what was connected to is no longer what should be.
    pub(super) async fn replaced(&self, primary: Option<&HostPort>) {
        let watched = match (self, primary) {
            (Self::Sentinels(sentinels), Some(primary)) => Some((sentinels, primary)),
            _ => None,
        };
        sentinel::replaced(watched).await;
    }
}

async fn probe(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let _: String = redis::cmd("SCRIPT").arg("LOAD").arg(script::SOURCE).query_async(connection).await?;
    let nobody = Ask::one(Charge::new().hold(Scope::Tenant, Keyspace::default().probe(), Bucket::token(PROBE), 1));
    let mut batch = Batch::at(0);
    batch.ask(&nobody);
    let _: Vec<u8> = batch.command(None).query_async(connection).await?;
    Ok(())
}
