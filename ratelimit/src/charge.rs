//! What one request would cost, level by level. The store takes all of it or none of it.

use std::fmt;

use crate::{bucket::Bucket, key::Key};

/// The most entries that one charge may have: what is larger no store decides (S12: inputs are bounded before batching).
pub const MAX_ENTRIES: usize = 64;

/// Which level an entry is: what an answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The platform's limit, with the guarantees.
    Global,
    /// The tenant's limit; also the one bucket of whatever has no tenant.
    Tenant,
    /// The subscription's limit.
    Subscription,
    /// The API's own limit.
    Api,
}

impl Scope {
    /// The scope as answers and metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Tenant => "tenant",
            Self::Subscription => "subscription",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an entry's bucket must do for the charge to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It must hold the whole cost.
    Hold,
    /// If it holds the whole cost it pays, and the [`Role::Shared`] entry after it may go into debt. It never denies.
    Guarantee,
    /// It must hold the whole cost, unless the guarantee just before it paid.
    Shared,
}

/// One bucket of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub(crate) key: Key,
    pub(crate) bucket: Bucket,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    pub(crate) cost: u64,
}

impl Entry {
    /// Which level it is.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// What its bucket must do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its bucket.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The requests that it costs; 0 looks only.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }
}

/// Everything that one request is charged, all or none. A key may stand in it more than once (several descriptors of one tenant): the costs
/// add up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charge {
    entries: Vec<Entry>,
}

impl Charge {
    /// A charge of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a bucket that must hold the whole cost.
    #[must_use]
    pub fn hold(mut self, scope: Scope, key: Key, bucket: Bucket, cost: u64) -> Self {
        self.entries.push(Entry { key, bucket, role: Role::Hold, scope, cost });
        self
    }

    /// Adds the shared bucket, with the guarantee that may put it into debt. The pair is added in one step, so a guarantee cannot stand
    /// before anything else.
    #[must_use]
    pub fn shared(mut self, key: Key, bucket: Bucket, guarantee: Option<(Key, Bucket)>, cost: u64) -> Self {
        if let Some((key, bucket)) = guarantee {
            self.entries.push(Entry { key, bucket, role: Role::Guarantee, scope: Scope::Global, cost });
        }
        self.entries.push(Entry { key, bucket, role: Role::Shared, scope: Scope::Global, cost });
        self
    }

    /// Adds all entries of another charge: both or neither.
    pub fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The entries, in the order in which they are decided.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether a level that must hold denies all (its rate is 0): then it needs no store to be denied.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        let denies_all = |entry: &Entry| {
            let Bucket::Token(bucket) = entry.bucket;
            bucket.capacity() == 0
        };
        self.entries.iter().any(|entry| entry.role != Role::Guarantee && denies_all(entry))
    }

    /// The same charge against one replica's share of every limit.
    #[must_use]
    pub fn share(&self, replicas: u32) -> Self {
        let share = |entry: &Entry| {
            let Bucket::Token(bucket) = entry.bucket;
            Entry { bucket: Bucket::Token(bucket.share(replicas)), ..entry.clone() }
        };
        Self { entries: self.entries.iter().map(share).collect() }
    }
}
