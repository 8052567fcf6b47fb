//! Sentinel: which server is the primary now.
//!
//! Every sentinel is asked at the same time, and of those that answer the one that knows of the latest fail-over is believed: a sentinel that was cut off
//! with an old primary would still name that one. They are asked before each attempt to connect, and again every second while
//! connected, so that an old primary that nobody told of its fail-over is left within a second or two.

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use futures::future::join_all;
use redis::{ErrorKind, RedisError, aio::MultiplexedConnection};
use tokio::time::{sleep, timeout};

use super::{
    address::{AddressError, HostPort},
    dial::{Dialer, Node},
};

/// How long a sentinel may take. Those that hang hold up a reconnect for so long.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often they are asked while all is well.
const WATCH: Duration = Duration::from_secs(1);

/// Those that know the primary.
pub(super) struct Sentinels {
    sentinels: Vec<Node>,
    name: Arc<str>,
    nodes: Dialer,
}

impl Sentinels {
    /// The sentinels, with a login of their own, of a primary whose nodes are reached by `nodes`.
    pub(super) fn new(sentinels: Vec<Node>, name: Arc<str>, nodes: Dialer) -> Self {
        Self { sentinels, name, nodes }
    }

    /// The primary, and how it is connected to.
    pub(super) async fn primary(&self) -> Result<(HostPort, Node), RedisError> {
        let primary = self.named().await?;
        let node = self.nodes.node(&primary);
        Ok((primary, node))
    }

    /// Returns once the sentinels name another primary than this.
    pub(super) async fn replaced(&self, primary: &HostPort) {
        loop {
            sleep(WATCH).await;
            // Sentinels that are away do not take the store away.
            if self.named().await.is_ok_and(|now| now != *primary) {
                return;
            }
        }
    }

    async fn named(&self) -> Result<HostPort, RedisError> {
        let answers = join_all(self.sentinels.iter().map(|sentinel| timeout(PATIENCE, ask(sentinel, &self.name)))).await;
        let mut why = RedisError::from((ErrorKind::Io, "no sentinel answered in time"));
        let mut latest: Option<(u64, HostPort)> = None;
        for answer in answers.into_iter().flatten() {
            match answer {
                Ok((epoch, primary)) if latest.as_ref().is_none_or(|(known, _)| epoch > *known) => latest = Some((epoch, primary)),
                Ok(_) => {}
                Err(error) => why = error,
            }
        }
        latest.map(|(_, primary)| primary).ok_or(why)
    }
}

/// What one sentinel says: the epoch of the last fail-over that it knows of, and the primary.
async fn ask(sentinel: &Node, name: &str) -> Result<(u64, HostPort), RedisError> {
    let mut connection = sentinel.connect(PATIENCE).await?;
    let told: HashMap<String, String> = redis::cmd("SENTINEL").arg("MASTER").arg(name).query_async(&mut connection).await?;
    let field = |name: &str| told.get(name).map(String::as_str).unwrap_or_default();
    let primary = HostPort::of(field("ip"), field("port"));
    let epoch = field("config-epoch").parse().unwrap_or(0);
    primary
        .map(|primary| (epoch, primary))
        .map_err(|_: AddressError| (ErrorKind::UnexpectedReturnType, "a sentinel names no address").into())
}

/// Makes sure that this is a primary: one that was until just now may still take writes that nobody will keep.
pub(super) async fn verify(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let role: redis::Value = redis::cmd("ROLE").query_async(connection).await?;
    let role = match &role {
        redis::Value::Array(fields) => fields.first().and_then(|first| redis::from_redis_value_ref::<String>(first).ok()),
        _ => None,
    };
    if role.as_deref() == Some("master") { Ok(()) } else { Err((ErrorKind::Io, "what the sentinels name is not the primary yet").into()) }
}

/// Returns once another primary is named; never where there are no sentinels.
pub(super) async fn replaced(found: Option<(&Sentinels, &HostPort)>) {
    match found {
        Some((sentinels, primary)) => sentinels.replaced(primary).await,
        None => pending().await,
    }
}
