//! A charge whose parts are in several places: decided part by part, given back unless all admit, and counted once it is known what became of it. No I/O, so
//! that a simulation drives it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Place,
    shapes::{Way, own},
};
use crate::{
    ask::{Answer, Seen},
    bucket::Bucket,
    charge::{Charge, Level, Part, Role, Shape},
    key::Account,
    store::{Adjustment, Change, Tally},
};

/// What one place decides of a charge.
#[derive(Debug, Clone)]
pub struct Group {
    /// The levels that are there, without the global bucket and without meters.
    pub charge: Charge,
    /// Which levels of the whole charge those are.
    pub(super) levels: Vec<usize>,
}

/// A charge without the global bucket, by place.
#[must_use]
pub fn groups(place: impl Fn(&Account) -> Place, charge: &Charge, way: Way) -> Vec<Group> {
    let mut groups: BTreeMap<Place, (Vec<Part>, Vec<usize>)> = BTreeMap::new();
    let mut index = 0;
    for part in charge.parts() {
        let mut levels: BTreeMap<Place, Vec<Level>> = BTreeMap::new();
        for level in part.shape().levels() {
            if let Some(own) = own(level, way) {
                let place = place(level.key().account());
                groups.entry(place).or_default().1.push(index);
                levels.entry(place).or_default().push(own);
            }
            index += 1;
        }
        for (place, levels) in levels {
            let shape = Arc::new(Shape::of(levels, None));
            groups.entry(place).or_default().0.push(Part { shape, cost: part.cost() });
        }
    }
    groups.into_values().map(|(parts, levels)| Group { charge: Charge::from_parts(parts), levels }).collect()
}

impl Group {
    /// What brings it back, once it was admitted and another was not.
    #[must_use]
    pub fn back(&self, answer: &Answer) -> Vec<Adjustment> {
        let paid = |role, bucket: &Bucket, seen: &Seen, cost| {
            role != Role::Guarantee && role != Role::Shadow || bucket.covers(seen.credit, cost, 1) > 0
        };
        let levels = self.charge.levels().zip(&answer.seen);
        let levels = levels.filter(|((level, cost), seen)| *cost > 0 && paid(level.role(), level.bucket(), seen, *cost));
        let change = |cost| Change::Return { unused: cost, held: 0, taken_us: answer.now_us };
        let back = |level: &Level, cost| Adjustment { key: level.key().clone(), bucket: level.bucket().clone(), change: change(cost) };
        levels.map(|((level, cost), _)| back(level, cost)).collect()
    }
}

/// What the meters of a charge are told that no single decision could count.
#[must_use]
pub fn tallies(charge: &Charge, admitted: bool) -> Vec<Tally> {
    let tally = |part: &Part| {
        let (yes, no) = if admitted { (part.cost(), 0) } else { (0, part.cost()) };
        (part.cost() > 0).then_some(Tally { meter: part.shape().meter()?.clone(), admitted: yes, denied: no })
    };
    charge.parts().iter().filter_map(tally).collect()
}
