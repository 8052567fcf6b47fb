//! Where buckets live. A store takes a batch of charges and decides each of them, all or none, in order.

mod apart;
pub mod batching;
pub mod leasing;
pub mod memory;
pub mod redis;
pub mod silos;
pub mod split;

use async_trait::async_trait;

use crate::{
    ask::{Answer, Ask},
    bucket::Bucket,
    charge::Charge,
    key::{Account, Key, Meter},
    outcome::Outcome,
};

/// A moment in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

/// Something that decides charges exactly. Every implementation passes the one behaviour suite (`tests/store`).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Decides a batch, in order, each charge all or none and each alone: what is wrong with one touches no other (S12). One answer an ask.
    ///
    /// `now` is the store's own clock unless it is given; only tests and simulations give it.
    ///
    /// # Errors
    /// When the outcome is not known. The batch may have been charged: it must never be sent again (S12, S24).
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError>;

    /// Decides a batch now whose asks may come to different ends: where a store is several, what happens to one of them touches no other (S12).
    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        apart::each(self.decide(None, asks).await, asks.len())
    }

    /// Changes buckets otherwise than by a charge, in order. Whether each could be changed: a key that holds no bucket is left as it is.
    ///
    /// # Errors
    /// When the outcome is not known.
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Result<Vec<bool>, StoreError>;

    /// Counts at meters what was admitted from tokens taken in advance, or denied without asking.
    ///
    /// # Errors
    /// When the outcome is not known: it may have been counted.
    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Result<(), StoreError>;

    /// As [`Store::tally`], for a store of several parts or calls: how each line came out, so that those of a part that is away can be told again, and only
    /// those (S24).
    async fn tally_apart(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        apart::each(self.tally(now, tallies).await.map(|()| vec![(); tallies.len()]), tallies.len())
    }

    /// What an account's meter counted in one hour, line by line in no order.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError>;

    /// Decides charges once each: the outcomes.
    ///
    /// # Errors
    /// As [`Store::decide`].
    async fn decide_each(&self, now: Option<Micros>, charges: &[Charge]) -> Result<Vec<Outcome>, StoreError> {
        let asks: Vec<Ask> = charges.iter().cloned().map(Ask::one).collect();
        let answers = self.decide(now, &asks).await?;
        Ok(answers.iter().zip(charges).map(|(answer, charge)| answer.outcome(charge, 0)).collect())
    }
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

/// Why a store decided nothing that we know of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection: the circuit is open, and nothing was sent.
    #[error("the store is away: not connected")]
    Away,
    /// No answer came within the deadline. It may still be charged.
    #[error("the store did not answer within the deadline")]
    Late,
    /// The connection broke before an answer came. It may still be charged.
    #[error("the connection to the store broke before it answered")]
    Broken,
    /// The queue before the store is full, or this tenant's share of it is.
    #[error("too many decisions are waiting for the store")]
    Busy,
    /// The store answered with an error. The text is the store's error code and never holds a key.
    #[error("the store refused the batch: {0}")]
    Refused(String),
    /// The store's answer was not what the script gives.
    #[error("the store's answer cannot be read")]
    Garbled,
}

impl StoreError {
    /// Whether it may have been done all the same: charged, and metered. It must never be done, or told, again (S12, S24).
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Late | Self::Broken | Self::Garbled)
    }

    /// The error as a metric's label.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Late => "late",
            Self::Broken => "broken",
            Self::Busy => "busy",
            Self::Refused(_) => "refused",
            Self::Garbled => "garbled",
        }
    }
}
