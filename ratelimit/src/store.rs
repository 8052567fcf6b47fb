//! Where buckets live. A store takes a batch of charges and decides each of them, all or none, in order.

mod apart;
pub mod away;
pub mod batching;
pub mod leasing;
mod ledger;
pub mod memory;
pub mod redis;
pub mod silos;
pub mod split;

use std::pin::Pin;

use async_trait::async_trait;
use tokio::time::Instant;

pub use self::ledger::{Adjustment, Change, Hour, Ledger, METER_DAY_FIELDS, METER_FIELDS, METER_KEPT_MS, Metered, Tally};
use crate::{
    ask::{Answer, Ask},
    charge::Charge,
    look::InHand,
    outcome::Outcome,
};

/// A moment in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

/// What a store is about to answer: as [`Store`]'s methods give it, for a store that hands over the future of another one.
pub(crate) type Deciding<'d, Answered> = Pin<Box<dyn Future<Output = Answered> + Send + 'd>>;

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

    /// Decides a batch now whose asks may come to different ends, in whatever order: where a store is several, what happens to one of them touches no other (S12).
    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        apart::each(self.decide(None, asks).await, asks.len())
    }

    /// Whether since a moment what decides this charge has answered, and left decisions of its payer waiting behind others of that payer. Then one that is late
    /// is late because of its payer, which is no failure of the store's. Where nothing stands behind others, what is late is.
    fn stood_behind_own(&self, _charge: &Charge, _since: Instant) -> bool {
        false
    }

    /// A tenant's failure mode admitted a charge that was not decided: its own place does not answer. What it shares with others is elsewhere, and pays for it all the same.
    fn passed_without(&self, _charge: &Charge) {}

    /// What is held in advance of a charge's payer, and what of it would answer the charge. Where nothing is leased, nothing.
    fn in_hand(&self, _charge: &Charge) -> InHand {
        InHand::default()
    }

    /// What it keeps beside deciding. A store that stands before another one has that one's.
    fn ledger(&self) -> &dyn Ledger;

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
