//! What a charge came to: admitted or not, how every level stands, who denied, and when to come back.

use std::sync::Arc;

use crate::{
    ask::Seen,
    bucket::Bucket,
    charge::{Charge, Level, Role, Scope},
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Microseconds until the bucket is as if nobody had used it.
    pub reset_us: u64,
    /// When a quota renews, in microseconds since 1970: a calendar's or a fixed window's next period; of a sliding window that denied, when
    /// enough of it has passed.
    pub renews_us: Option<u64>,
}

/// Who denied a charge, and when it would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// The first denying level in the order global, tenant, subscription, API.
    pub scope: Scope,
    /// Microseconds until every level that denied would pass; none if one never will.
    pub retry_after_us: Option<u64>,
    /// When the denying quota renews, in microseconds since 1970: the latest of those that denied. None if no quota did, or if one never
    /// lets the cost pass.
    pub renews_us: Option<u64>,
}

/// A charge, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    verdict: Verdict,
    standings: Vec<Standing>,
    shadowed: Vec<Arc<str>>,
}

impl Outcome {
    /// A charge that touched a key which is no bucket.
    #[must_use]
    pub fn faulty() -> Self {
        Self { verdict: Verdict::Faulty, standings: Vec::new(), shadowed: Vec::new() }
    }

    /// What follows from what the levels held when the charge came to them.
    pub(crate) fn of(charge: &Charge, verdict: Verdict, seen: &[Seen], now_us: u64) -> Self {
        if verdict == Verdict::Faulty {
            return Self::faulty();
        }
        let view = View { charge, verdict, seen, now_us };
        let mut standings = Vec::with_capacity(seen.len());
        let mut shadowed: Vec<Arc<str>> = Vec::new();
        let mut guarantee: Option<(bool, Option<u64>)> = None;
        for (index, ((level, cost), seen)) in charge.levels().zip(seen).enumerate() {
            let own = match verdict {
                Verdict::Denied if charge.parts().len() > 1 => view.repeated(index, level, cost, *seen),
                _ => view.standing(level, cost, *seen),
            };
            match level.role {
                Role::Guarantee => guarantee = Some((own.passed, own.wait_us)),
                Role::Hold | Role::Count => standings.push(own),
                Role::Shadow if own.passed || verdict == Verdict::Denied => {}
                Role::Shadow => shadowed.extend(level.policy.clone()),
                // What global denies passes as soon as either holds: the shared bucket, or the guarantee.
                Role::Shared => match guarantee.take() {
                    Some((true, _)) if level.bucket.capacity() > 0 => standings.push(view.carried(level, cost, *seen, own)),
                    Some((false, wait)) => standings.push(Standing { wait_us: soonest(own.wait_us, wait), ..own }),
                    Some((true, _)) | None => standings.push(own),
                },
            }
        }
        // Several descriptors of one tenant mark a policy once.
        shadowed.sort_unstable();
        shadowed.dedup();
        Self { verdict, standings, shadowed }
    }

    /// How it was decided.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Every level that may deny, in the order of the charge; a guarantee is part of its global level.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// The policies in shadow whose limit would have denied what was admitted.
    #[must_use]
    pub fn shadowed(&self) -> &[Arc<str>] {
        &self.shadowed
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
        let renews_us = retry_after_us.and_then(|_| denying().filter_map(|one| one.renews_us).max());
        Some(Denial { scope, retry_after_us, renews_us })
    }
}

/// One decision, looked at level by level.
struct View<'v> {
    charge: &'v Charge,
    verdict: Verdict,
    seen: &'v [Seen],
    now_us: u64,
}

impl View<'_> {
    fn standing(&self, level: &Level, cost: u64, seen: Seen) -> Standing {
        let passed = level.bucket.covers(seen.credit, cost, 1) > 0;
        let pays = level.role == Role::Count || (passed && self.verdict == Verdict::Admitted);
        let after = if pays { level.bucket.spend(seen.credit, cost, 1) } else { seen.credit };
        Standing {
            scope: level.scope,
            bucket: level.bucket.clone(),
            passed,
            remaining: level.bucket.whole(after),
            wait_us: self.wait_us(&level.bucket, seen, cost),
            reset_us: self.reset_us(&level.bucket, Seen { credit: after, ..seen }),
            renews_us: self.renews_us(&level.bucket, seen, passed),
        }
    }

    /// A level of a charge of several parts that was denied, as it stands: with nothing taken by the parts before it, and passing once it
    /// holds what all parts with its key cost together. That differs from its standing alone only where a key stands in several parts.
    fn repeated(&self, index: usize, level: &Level, cost: u64, seen: Seen) -> Standing {
        let own = self.standing(level, cost, seen);
        let same = || self.charge.levels().enumerate().filter(|(_, (other, _))| other.key == level.key);
        let Some((first, _)) = same().next() else { return own };
        if same().nth(1).is_none() {
            return own;
        }
        let untouched = self.seen.get(first).copied().unwrap_or_default();
        let together = same().fold(0_u64, |sum, (_, (_, cost))| sum.saturating_add(cost));
        let passed = own.passed && (index == first || level.bucket.covers(untouched.credit, together, 1) > 0);
        Standing {
            passed,
            remaining: level.bucket.whole(untouched.credit),
            wait_us: self.wait_us(&level.bucket, untouched, together),
            reset_us: self.reset_us(&level.bucket, untouched),
            ..own
        }
    }

    /// A shared bucket that a guarantee carried: it passed whatever it holds.
    fn carried(&self, level: &Level, cost: u64, seen: Seen, own: Standing) -> Standing {
        let admitted = self.verdict == Verdict::Admitted;
        let after = if admitted { level.bucket.spend(seen.credit, cost, 1) } else { seen.credit };
        let reset_us = self.reset_us(&level.bucket, Seen { credit: after, ..seen });
        Standing { passed: true, remaining: level.bucket.whole(after), wait_us: Some(0), reset_us, ..own }
    }

    /// Microseconds until a bucket will cover a cost: none if it never will.
    fn wait_us(&self, bucket: &Bucket, seen: Seen, cost: u64) -> Option<u64> {
        if bucket.capacity() == 0 || cost > bucket.capacity() {
            return None;
        }
        if bucket.covers(seen.credit, cost, 1) > 0 {
            return Some(0);
        }
        match bucket {
            Bucket::Token(token) => token.refill_us(seen.credit, bucket.units(cost)),
            Bucket::Sliding(_) => Some(seen.frees_us.saturating_sub(self.now_us)),
            Bucket::Window(_) | Bucket::Calendar(_) => bucket.period_at(self.now_us).map(|period| period.end_us - self.now_us),
        }
    }

    fn renews_us(&self, bucket: &Bucket, seen: Seen, passed: bool) -> Option<u64> {
        match bucket {
            Bucket::Token(_) => None,
            Bucket::Sliding(_) => (!passed).then_some(seen.frees_us),
            Bucket::Window(_) | Bucket::Calendar(_) => bucket.period_at(self.now_us).map(|period| period.end_us),
        }
    }

    /// Microseconds until a bucket is as if nobody had used it.
    fn reset_us(&self, bucket: &Bucket, seen: Seen) -> u64 {
        match bucket {
            Bucket::Token(token) => token.refill_us(seen.credit, bucket.full()).unwrap_or(0),
            Bucket::Sliding(_) => seen.clears_us.saturating_sub(self.now_us),
            Bucket::Window(_) | Bucket::Calendar(_) => bucket.period_at(self.now_us).map_or(0, |period| period.end_us - self.now_us),
        }
    }
}

fn soonest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
