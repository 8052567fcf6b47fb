//! What a store keeps beside deciding: changes of buckets that are no charges, and meters.

use async_trait::async_trait;

use super::{Micros, StoreError};
use crate::{
    bucket::Bucket,
    key::{Account, Key, Meter},
};

/// A store's books. Each item of a call comes out on its own: where a store is several, what happens to one of them touches no other, and only what was
/// surely not done may be told again (S12, S24). A call ends within the store's own deadlines.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Changes buckets otherwise than by a charge, in order. Whether each could be changed: a key that holds no bucket is left as it is.
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>>;

    /// Counts at meters what was admitted or denied without the store.
    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>>;

    /// What an account's meter counted in one hour, line by line in no order.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError>;
}

/// A change of one bucket that is no charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// Which bucket.
    pub key: Key,
    /// Under which limit.
    pub bucket: Bucket,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// As if nobody had used it.
    Reset,
    /// So many requests are given back: a token bucket is at most full then; a window may admit more than its limit until it ends.
    Grant {
        /// Requests.
        requests: u64,
    },
    /// Tokens taken in advance come back. To a token bucket they come back only while it knows that they are held: what comes later has been
    /// refilled, and changes nothing.
    Return {
        /// Requests that were not used.
        unused: u64,
        /// Requests that were held in advance, the unused ones among them, and are no longer.
        held: u64,
        /// When they were taken, in microseconds since 1970 by the store's clock: a window that began later has never counted them.
        taken_us: u64,
    },
}

/// Costs counted at a meter outside of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Whose, and which line.
    pub meter: Meter,
    /// Requests admitted.
    pub admitted: u64,
    /// Requests denied.
    pub denied: u64,
}

/// An hour since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub u64);

impl Hour {
    /// The hour that a moment is in.
    #[must_use]
    pub const fn of(now: Micros) -> Self {
        Self(now.0 / 3_600_000_000)
    }
}

/// One line of a meter in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// The line, as [`Meter::line`] has it.
    pub line: String,
    /// Requests admitted.
    pub admitted: u64,
    /// Requests denied.
    pub denied: u64,
}

/// How long a meter keeps an hour, in milliseconds: 40 days, a month's bill with time to write it.
pub const METER_KEPT_MS: u64 = 40 * 24 * 3_600_000;

/// How many amounts (admitted and denied are one each) the meter of a tenant's hour holds under names; what would be one more is counted on the line without
/// names. A tenant names its subscriptions and APIs itself, up to five million pairs: so much a bill needs nobody, and the store holds it for everybody (S12).
pub const METER_FIELDS: usize = 20_000;

/// How many such amounts the hours of a day hold under names together: what is kept of a tenant for [`METER_KEPT_MS`] is so bounded to some hundred megabytes of a store
/// that all share (S12).
pub const METER_DAY_FIELDS: usize = 100_000;
