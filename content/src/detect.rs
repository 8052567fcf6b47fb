//! Personal data and secrets in folded text. Every detector is one pass, and looks from each place no further than a stated length.

use std::{collections::BTreeSet, ops::Range};

use crate::{Budget, Detector, Unscannable};

mod card;
mod cue;
mod digits;
mod email;
mod iban;
mod ip;
mod national;
mod phone;
mod secret;

use cue::{Context, Cue};
use digits::Groups;

#[cfg(test)]
mod tests;

/// What it costs to put a hit in its place, in steps.
const SORTED: usize = 64;

/// Something found, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) kind: Detector,
    pub(crate) at: Range<usize>,
}

/// What the detectors find. Of two kinds at one place the surer one stays: what has a checksum before what has a shape.
///
/// # Errors
/// It takes more than the budget.
pub(crate) fn find(detectors: &BTreeSet<Detector>, text: &str, key: &str, budget: &Budget<'_>) -> Result<Vec<Hit>, Unscannable> {
    let mut hits: Vec<Hit> = Vec::new();
    if detectors.is_empty() || text.len() < 5 {
        return Ok(hits);
    }
    let context = Context::new(text, key, budget);
    // Each detector passes over the text; what it does at some places besides it counts itself.
    budget.spend((1 + detectors.len()) * text.len())?;
    let groups = Groups::of(text);
    budget.hold(groups.size())?;
    let mut held = groups.size();
    for kind in [Detector::Secret, Detector::Iban, Detector::Card, Detector::NationalId, Detector::Ip, Detector::Email, Detector::Phone] {
        if !detectors.contains(&kind) {
            continue;
        }
        let mut found = Vec::new();
        match kind {
            Detector::Secret => secret::find(&context, &mut found)?,
            Detector::Iban => iban::find(&context, &mut found)?,
            Detector::Card => card::find(&context, &groups, &mut found)?,
            Detector::NationalId => national::find(&context, &groups, &mut found)?,
            Detector::Ip => ip::find(&context, &mut found)?,
            Detector::Email => email::find(&context, &mut found)?,
            Detector::Phone => phone::find(&context, &groups, &mut found)?,
        }
        budget.spend(SORTED * found.len())?;
        budget.hold(size_of::<Hit>() * found.len())?;
        held += size_of::<Hit>() * found.len();
        found.sort_by_key(|at| (at.start, at.end));
        found.dedup();
        let surer = hits.len();
        for at in found {
            // Those before it are sorted and, but for a few that overlap, apart.
            let near = hits.get(..surer).unwrap_or_default();
            let from = near.partition_point(|hit| hit.at.end <= at.start);
            if !near.get(from..).unwrap_or_default().iter().take(2).any(|hit| hit.at.start <= at.start && at.end <= hit.at.end) {
                hits.push(Hit { kind, at });
            }
        }
        hits.sort_by_key(|hit| (hit.at.start, hit.at.end));
    }
    held += context.size();
    budget.hold(context.size())?;
    budget.release(held);
    Ok(hits)
}

/// The byte at a place; 0 outside of the text.
fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes().get(at).copied().unwrap_or(0)
}

/// Whether nothing that belongs to a longer word or number stands before a place.
fn starts(text: &str, at: usize) -> bool {
    at == 0 || !is_word(byte(text, at - 1))
}

/// Whether nothing that belongs to a longer word or number stands at a place.
fn ends(text: &str, at: usize) -> bool {
    !is_word(byte(text, at))
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
