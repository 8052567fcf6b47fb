//! Changes by hand are recorded: a line of the log, whatever `--log-level` says, and the last ones in memory.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use super::reading::Reading;

/// How many changes this process remembers. The log has them all.
const REMEMBERED: usize = 1_000;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The store made it.
    Done,
    /// The store's key holds something that is no bucket: nothing was changed. A reset forgets whatever the key holds.
    NoBucket,
    /// The store did not answer: it may have been made. It was not tried again.
    Unknown,
    /// The store could not be asked: nothing was changed.
    NotDone,
}

impl Outcome {
    /// The outcome as records name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoBucket => "no_bucket",
            Self::Unknown => "unknown",
            Self::NotDone => "not_done",
        }
    }
}

/// One change, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When it was asked for (RFC 3339).
    pub at: String,
    /// Who asked.
    pub by: String,
    /// `reset` or `grant`.
    pub action: &'static str,
    /// The counter's path.
    pub counter: String,
    /// The uid of the tenant that had the counter's name then (S23).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_uid: Option<String>,
    /// How many requests were granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Why, as whoever asked wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// How the counter stood just before. Traffic may have moved it since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Reading>,
    /// How it stood just after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Reading>,
}

/// The last changes, the newest first.
#[derive(Debug, Default)]
pub struct Changes(Mutex<VecDeque<Change>>);

impl Changes {
    /// Records one.
    pub fn add(&self, change: Change) {
        let remaining = |reading: &Option<Reading>| reading.as_ref().and_then(|one| one.now.as_ref()).map(|now| now.remaining);
        // The target is `bulkhead_doors::logs::AUDIT`; the macro wants it written out.
        tracing::info!(
            target: "audit",
            at = change.at,
            by = change.by,
            action = change.action,
            counter = change.counter,
            tenant.uid = change.tenant_uid,
            requests = change.requests,
            reason = change.reason,
            outcome = change.outcome.as_str(),
            before.remaining = remaining(&change.before),
            after.remaining = remaining(&change.after),
            "a counter was changed by hand"
        );
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push_front(change);
        changes.truncate(REMEMBERED);
    }

    /// The newest ones, at most so many.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<Change> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().take(most).cloned().collect()
    }
}
