//! The parts of a charge that is split, and its answer put together again.

use std::sync::Arc;

use super::{Place, Places};
use crate::{
    ask::{Answer, Ask, Seen},
    bucket::Bucket,
    charge::{Charge, Level, Part, Role, Shape},
    key::Key,
};

/// How the tenant's part is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Global is paid: the guarantee pays if it can, and never denies.
    Paid,
    /// Global is not: the guarantee must hold the cost.
    Lent,
}

/// What a charge costs the global bucket.
#[derive(Debug)]
pub(super) struct Toll {
    pub(super) key: Key,
    pub(super) bucket: Bucket,
    /// Requests for each copy, all parts together.
    pub(super) cost: u64,
    /// Every part that pays it has a guarantee.
    pub(super) guaranteed: bool,
}

impl Toll {
    pub(super) fn of(charge: &Charge) -> Option<Self> {
        let shared = |part: &Part| part.shape().levels().iter().any(|level| level.role() == Role::Shared);
        let guaranteed = |part: &Part| part.shape().levels().iter().any(|level| level.role() == Role::Guarantee);
        let (level, _) = charge.levels().find(|(level, _)| level.role() == Role::Shared)?;
        let paying = || charge.parts().iter().filter(|part| shared(part));
        let cost = paying().fold(0_u64, |sum, part| sum.saturating_add(part.cost()));
        Some(Self { key: level.key().clone(), bucket: level.bucket().clone(), cost, guaranteed: paying().all(guaranteed) })
    }
}

/// A level as it is decided apart from the global one; none for that one itself.
pub(super) fn own(level: &Level, way: Way) -> Option<Level> {
    match (level.role(), way) {
        (Role::Shared, _) => None,
        (Role::Guarantee, Way::Lent) => Some(Level { role: Role::Hold, ..level.clone() }),
        _ => Some(level.clone()),
    }
}

/// The charge without the global bucket.
#[must_use]
pub fn apart(charge: &Charge, way: Way) -> Charge {
    let part = |part: &Part| {
        let levels = part.shape().levels().iter().filter_map(|level| own(level, way)).collect();
        Part { shape: Arc::new(Shape::of(levels, part.shape().meter().cloned())), cost: part.cost() }
    };
    Charge::from_parts(charge.parts().iter().map(part).collect())
}

/// Whether a level other than the global one and the guarantee is smaller than the cost.
pub(super) fn never_passes(charge: &Charge) -> bool {
    let own = |level: &Level| matches!(level.role(), Role::Hold | Role::Count);
    charge.levels().any(|(level, cost)| own(level) && cost > level.bucket().capacity())
}

/// Whether a level other than the global one and the guarantee did not hold its cost.
pub(super) fn is_denied_by_own(charge: &Charge, seen: &[Seen]) -> bool {
    let own = |level: &Level| matches!(level.role(), Role::Hold | Role::Count);
    charge.levels().zip(seen).any(|((level, cost), seen)| own(level) && level.bucket().covers(seen.credit, cost, 1) == 0)
}

/// The places of all buckets but the global one.
pub(super) fn places(store: &Arc<dyn Places>, charge: &Charge) -> Vec<Place> {
    let own = charge.levels().filter(|(level, _)| level.role() != Role::Shared);
    let mut places: Vec<Place> = own.map(|(level, _)| store.place(level.key().account())).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// What all levels held, from what all but the global one did, and the copies that global let pass.
pub(super) fn assemble(charge: &Charge, own: &[Seen], toll: &Toll, reserved: u32, copies: u32) -> Vec<Seen> {
    let credit = if reserved == copies { toll.bucket.full() } else { toll.bucket.units(toll.cost.saturating_mul(u64::from(reserved))) };
    let mut own = own.iter().copied();
    charge
        .levels()
        .map(|(level, _)| if level.role() == Role::Shared { Seen { credit, ..Seen::default() } } else { own.next().unwrap_or_default() })
        .collect()
}

/// The answer where global denies and nothing else was asked.
pub(super) fn denied(ask: &Ask, credit: i64, now_us: u64) -> Answer {
    let seen = |(level, _): (&Level, u64)| match level.role() {
        Role::Shared | Role::Guarantee => Seen { credit, ..Seen::default() },
        Role::Hold | Role::Count | Role::Shadow => Seen { credit: level.bucket().full(), ..Seen::default() },
    };
    Answer { faulty: false, seen: ask.charge.levels().map(seen).collect(), ..Answer::faulty(now_us) }
}
