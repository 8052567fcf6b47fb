//! One call over a link, under the breaker's eyes.
//!
//! What is sent twice, and nothing else is: a batch that the store says it did not run, because it does not know the script (NOSCRIPT: it was restarted or its
//! scripts were flushed). After a late answer, a broken connection or any other error the outcome is unknown, and the batch is never sent again (S12, S24).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};

use super::{super::script, Connection, Link};
use crate::store::StoreError;

/// How a call is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store::redis) enum Manner {
    /// To the node that owns what is called about.
    #[default]
    Plain,
    /// To the node that a slot of a cluster is moving to (ASK), which serves it to whoever asks in this way.
    Asking,
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::redis) enum CallError {
    /// Nothing that another node could do about it.
    Store(StoreError),
    /// Nothing was run here: this slot is another node's (MOVED), or this part of it already is (ASK).
    Elsewhere {
        /// The node's address, as the store wrote it; the host may be empty: then it is this node's.
        node: String,
        /// It is still moving, and the other node must be called [`Manner::Asking`].
        asking: bool,
    },
    /// Nothing was run: the slot is between two nodes (TRYAGAIN).
    Again,
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Store(error) => error,
            CallError::Elsewhere { asking, .. } => Self::Refused(if asking { "ASK" } else { "MOVED" }.to_owned()),
            CallError::Again => Self::Refused("TRYAGAIN".to_owned()),
        }
    }
}

impl Link {
    /// Sends a call of the script, at once or not at all, and waits for its answer within the deadline.
    ///
    /// # Errors
    /// [`CallError::Store`]: with any [`StoreError`] but [`StoreError::Away`] the outcome is not known.
    pub(in crate::store::redis) async fn run(&self, command: &Cmd, manner: Manner, deadline: Duration) -> Result<Value, CallError> {
        let connection = self.connection().ok_or(CallError::Store(StoreError::Away))?;

        // Whoever stops waiting for us (a caller's own deadline) must not hide a store that hangs from the breaker; nor make one that answers look like it (S12).
        let watch = Watch { link: self, connection: &connection, late_at: Instant::now() + deadline, settled: false };
        match tokio::time::timeout(deadline, run(connection.handle(), command, manner)).await {
            Ok(Ok(reply)) => {
                watch.succeeded();
                Ok(reply)
            }
            Ok(Err(error)) => {
                let told = told(&error);
                match told {
                    // The node answered as it should; it is our map that is old.
                    CallError::Elsewhere { .. } | CallError::Again => watch.succeeded(),
                    CallError::Store(_) => watch.failed(is_away(&error)),
                }
                Err(told)
            }
            Err(_) => {
                watch.failed(false);
                Err(CallError::Store(StoreError::Late))
            }
        }
    }
}

/// Runs the script. If the store says that it does not know it, and so has run nothing, it is loaded anew and the batch sent once more with the script's
/// text, so that a second flush meanwhile does no harm.
async fn run(mut connection: MultiplexedConnection, command: &Cmd, manner: Manner) -> Result<Value, RedisError> {
    match send(&mut connection, command, manner).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            let _: String = redis::cmd("SCRIPT").arg("LOAD").arg(script::SOURCE).query_async(&mut connection).await?;
            send(&mut connection, &spelled_out(command), manner).await
        }
        other => other,
    }
}

/// `EVALSHA hash ...` as `EVAL text ...`.
fn spelled_out(command: &Cmd) -> Cmd {
    let mut spelled = redis::cmd("EVAL");
    spelled.arg(script::SOURCE);
    for word in command.args_iter().skip(2) {
        if let redis::Arg::Simple(word) = word {
            spelled.arg(word);
        }
    }
    spelled
}

async fn send(connection: &mut MultiplexedConnection, command: &Cmd, manner: Manner) -> Result<Value, RedisError> {
    if manner == Manner::Plain {
        return command.query_async(connection).await;
    }
    // The two go out in one write, with nothing between them: ASKING holds for the one command after it.
    let mut pair = redis::pipe();
    pair.cmd("ASKING").ignore().add_command(command.clone());
    let (reply,): (Value,) = pair.query_async(connection).await?;
    Ok(reply)
}

/// An error as the rest of us may know it: the store's error code, never its words, which may repeat a key.
fn told(error: &RedisError) -> CallError {
    match error.kind() {
        ErrorKind::Server(kind @ (ServerErrorKind::Moved | ServerErrorKind::Ask)) => match error.redirect_node() {
            Some((node, _)) => CallError::Elsewhere { node: node.to_owned(), asking: kind == ServerErrorKind::Ask },
            None => CallError::Store(StoreError::Garbled),
        },
        ErrorKind::Server(ServerErrorKind::TryAgain) => CallError::Again,
        ErrorKind::Server(_) | ErrorKind::Extension => {
            CallError::Store(StoreError::Refused(error.code().unwrap_or(error.category()).to_owned()))
        }
        // No answer of the store's: the connection broke, or what came over it cannot be read. What was sent may have been run (S24).
        _ => CallError::Store(StoreError::Broken),
    }
}

/// What a store says that takes no decisions now: a replica that was a primary, one that loads its data, has lost its cluster, is full, cannot save, or does not
/// know us any more.
const AWAY: [&str; 8] = ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "MISCONF", "OOM", "NOAUTH"];

/// Whether this is no store to ask any more: the connection broke, or what is at its other end takes no decisions. Connecting anew finds out when, or who,
/// it is again.
fn is_away(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    // Redis 6 says ERR of a script, and in its words what the script's call was told.
    let inside = || error.detail().is_some_and(|words| AWAY.iter().any(|code| words.contains(&format!("-{code} "))));
    error.is_unrecoverable_error() || AWAY.contains(&code) || (code == "ERR" && inside())
}

/// One call under the breaker's eyes. Dropped before it settled, it counts as a failure if the store had its time.
struct Watch<'l> {
    link: &'l Link,
    connection: &'l Arc<Connection>,
    late_at: Instant,
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
        if !self.settled && Instant::now() >= self.late_at {
            self.link.failed(self.connection, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn what_a_store_says_is_known_by_its_code_alone() {
        let error = make_extension_error("NOSUCH".to_owned(), Some("bulkhead:4:{4:acme}".to_owned()));
        assert_eq!(told(&error), CallError::Store(StoreError::Refused("NOSUCH".to_owned())));
    }

    #[test]
    fn what_became_of_a_call_whose_connection_broke_is_not_known() {
        let broke = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        let unread = RedisError::from((ErrorKind::Parse, "no reply"));
        for error in [broke, unread] {
            assert_eq!(told(&error), CallError::Store(StoreError::Broken), "S24: it may have been charged and metered");
        }
    }

    #[test]
    fn a_store_that_takes_no_writes_opens_the_circuit_at_once() {
        for code in ["LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "OOM", "NOREPLICAS"] {
            assert!(is_away(&make_extension_error(code.to_owned(), None)), "{code}");
        }
        assert!(!is_away(&make_extension_error("WRONGTYPE".to_owned(), None)));
        let older = |words: &str| make_extension_error("ERR".to_owned(), Some(words.to_owned()));
        assert!(is_away(&older(
            "Error running script (call to f_0): @user_script:491: -READONLY You can't write against a read only replica."
        )));
        assert!(!is_away(&older("Error running script (call to f_0): @user_script:491: attempt to index a nil value")));
    }
}
