//! What a charge came to: admitted or not, how every level stands, who denied, and when to come back.

use crate::{
    bucket::Bucket,
    charge::{Charge, Entry, Role, Scope},
};

/// How a charge was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every level that must hold held, and all were charged.
    Admitted,
    /// At least one did not, and nothing was charged.
    Denied,
    /// A key of the charge holds something that is no bucket: nothing was charged, and no other charge of the batch was touched (S12). The
    /// tenant's failure mode answers, as it does for a store that is away.
    Faulty,
}

/// How one level stands after the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which level.
    pub scope: Scope,
    /// Its bucket.
    pub bucket: Bucket,
    /// Whether it let the cost pass.
    pub passed: bool,
    /// Whole requests left in the bucket; none in debt.
    pub remaining: u64,
    /// Microseconds until the cost would pass; none if it never will.
    pub wait_us: Option<u64>,
    /// Microseconds until the bucket is full.
    pub reset_us: u64,
}

/// Who denied a charge, and when it would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// The first denying level in the order global, tenant, subscription, API.
    pub scope: Scope,
    /// Microseconds until every level that denied would pass; none if one never will.
    pub retry_after_us: Option<u64>,
}

/// A charge, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    verdict: Verdict,
    standings: Vec<Standing>,
}

impl Outcome {
    /// A charge that touched a key which is no bucket.
    #[must_use]
    pub fn faulty() -> Self {
        Self { verdict: Verdict::Faulty, standings: Vec::new() }
    }

    /// What follows from the credits that the entries were decided by.
    pub(crate) fn of(charge: &Charge, verdict: Verdict, seen: &[i64]) -> Self {
        if verdict == Verdict::Faulty {
            return Self::faulty();
        }
        let mut standings = Vec::with_capacity(seen.len());
        let mut guarantee: Option<(bool, Option<u64>)> = None;
        for (index, (entry, &credit)) in charge.entries().iter().zip(seen).enumerate() {
            let own = match verdict {
                Verdict::Denied => denied(charge.entries(), seen, index, standing(entry, credit, verdict)),
                _ => standing(entry, credit, verdict),
            };
            match entry.role {
                Role::Guarantee => guarantee = Some((own.passed, own.wait_us)),
                Role::Hold => standings.push(own),
                // What global denies passes as soon as either holds: the shared bucket, or the guarantee.
                Role::Shared => match guarantee.take() {
                    Some((true, _)) if !denies_all(entry) => standings.push(carried(entry, credit, verdict, own)),
                    Some((true, _)) => standings.push(own),
                    Some((false, wait)) => standings.push(Standing { wait_us: soonest(own.wait_us, wait), ..own }),
                    None => standings.push(own),
                },
            }
        }
        Self { verdict, standings }
    }

    /// How it was decided.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Every level, in the order of the charge; a guarantee is part of its global level.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// Who denied; absent only if it was admitted. A store that denies and names no level is taken at its word: global denied.
    #[must_use]
    pub fn denial(&self) -> Option<Denial> {
        if self.verdict == Verdict::Admitted {
            return None;
        }
        let denying = || self.standings.iter().filter(|one| !one.passed);
        let scope = denying().map(|one| one.scope).min().unwrap_or(Scope::Global);
        let retry_after_us = denying().map(|one| one.wait_us).try_fold(0, |most, wait| Some(wait?.max(most)));
        Some(Denial { scope, retry_after_us })
    }
}

fn standing(entry: &Entry, credit: i64, verdict: Verdict) -> Standing {
    let Bucket::Token(bucket) = entry.bucket;
    let passed = bucket.holds(credit, entry.cost);
    let after = if passed && verdict == Verdict::Admitted { bucket.spend(credit, entry.cost) } else { credit };
    Standing {
        scope: entry.scope,
        bucket: entry.bucket,
        passed,
        remaining: bucket.whole(after),
        wait_us: bucket.wait_us(credit, entry.cost),
        reset_us: bucket.reset_us(after),
    }
}

/// A level of a charge that was denied, as it stands: with nothing taken by the entries before it, and passing once it holds what all entries of its
/// key cost together. That differs from `own` only where a key stands in the charge more than once.
fn denied(entries: &[Entry], seen: &[i64], index: usize, own: Standing) -> Standing {
    let Some(entry) = entries.get(index) else { return own };
    let same = || entries.iter().enumerate().filter(|(_, other)| other.key == entry.key);
    let Some((first, _)) = same().next() else { return own };
    if same().count() == 1 {
        return own;
    }
    let Bucket::Token(bucket) = entry.bucket;
    let credit = seen.get(first).copied().unwrap_or_default();
    let cost = same().fold(0_u64, |sum, (_, other)| sum.saturating_add(other.cost));
    Standing { remaining: bucket.whole(credit), wait_us: bucket.wait_us(credit, cost), reset_us: bucket.reset_us(credit), ..own }
}

/// A shared bucket that a guarantee carried: it passed whatever it holds.
fn carried(entry: &Entry, credit: i64, verdict: Verdict, own: Standing) -> Standing {
    let Bucket::Token(bucket) = entry.bucket;
    let after = if verdict == Verdict::Admitted { bucket.spend(credit, entry.cost) } else { credit };
    Standing { passed: true, remaining: bucket.whole(after), wait_us: Some(0), reset_us: bucket.reset_us(after), ..own }
}

fn soonest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn denies_all(entry: &Entry) -> bool {
    let Bucket::Token(bucket) = entry.bucket;
    bucket.capacity() == 0
}
