//! Where buckets live. A store takes a batch of charges and decides each of them, all or none, in order.

pub mod batching;
pub mod memory;
pub mod redis;

use async_trait::async_trait;

use crate::{charge::Charge, outcome::Outcome};

/// A moment in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

/// Something that decides charges exactly. Every implementation passes the one behaviour suite (`tests/store.rs`).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Decides a batch, in order, each charge all or none and each alone: what is wrong with one touches no other (S12).
    ///
    /// `now` is the store's own clock unless it is given; only tests and simulations give it.
    ///
    /// # Errors
    /// When the outcome is not known. The batch may have been charged: it must never be sent again (S12, S24).
    async fn decide(&self, now: Option<Micros>, charges: &[Charge]) -> Result<Vec<Outcome>, StoreError>;
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
    /// The error as a metric's label.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Late => "late",
            Self::Busy => "busy",
            Self::Refused(_) => "refused",
            Self::Garbled => "garbled",
        }
    }
}
