//! How a counter stands, as answers and records say it.

use serde::Serialize;

use crate::{ask::Answer, bucket::Bucket, charge::Charge, metering::hours::moment};

/// How one counter stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// `token_bucket`, `fixed_window`, `sliding_window` or `calendar`.
    pub kind: &'static str,
    /// Requests that it holds when nobody has used it. 0: it denies everything.
    pub limit: u64,
    /// How fast a token bucket refills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// What it holds now; absent where the store's key holds no bucket: a reset makes it one.
    #[serde(flatten)]
    pub now: Option<Now>,
    /// The store's key holds something that is no bucket.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_bucket: bool,
}

/// What a counter holds at a moment of the store's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Now {
    /// Requests used: what replicas hold in advance is used too.
    pub used: u64,
    /// Whole requests left; more than `limit` where an operator granted more.
    pub remaining: u64,
    /// Requests below zero: a guarantee put the global bucket into debt, or a window counted on when it was over.
    #[serde(skip_serializing_if = "is_zero")]
    pub debt: u64,
    /// Seconds until it is as if nobody had used it, rounded up.
    pub resets_in_seconds: u64,
    /// When its period ends, for kinds that renew at one moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renews_at: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own form")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Reading {
    /// What the answer to a look at one bucket says.
    pub(crate) fn of(charge: &Charge, answer: &Answer) -> Self {
        let outcome = answer.outcome(charge, 0);
        let level = charge.levels().next().map(|(level, _)| level.bucket().clone());
        let standing = outcome.standings().first();
        let credit = answer.seen.first().map_or(0, |seen| seen.credit);
        let now = standing.map(|standing| Now {
            used: standing.bucket.capacity().saturating_sub(standing.remaining),
            remaining: standing.remaining,
            debt: u64::try_from(-i128::from(credit)).unwrap_or(0).div_ceil(standing.bucket.unit()),
            resets_in_seconds: standing.reset_us.div_ceil(1_000_000),
            renews_at: standing.renews_us.map(moment),
        });
        Self {
            kind: level.as_ref().map_or("", kind),
            limit: level.as_ref().map_or(0, Bucket::capacity),
            requests_per_minute: level.as_ref().and_then(rate),
            no_bucket: now.is_none(),
            now,
        }
    }
}

fn kind(bucket: &Bucket) -> &'static str {
    match bucket {
        Bucket::Token(_) => "token_bucket",
        Bucket::Window(_) => "fixed_window",
        Bucket::Sliding(_) => "sliding_window",
        Bucket::Calendar(_) => "calendar",
    }
}

fn rate(bucket: &Bucket) -> Option<u64> {
    match bucket {
        Bucket::Token(token) => Some(token.per_minute()),
        _ => None,
    }
}
