//! Personal data and secrets in folded text. Every detector is one pass, and looks from each place no further than a stated length.

use std::ops::Range;

use crate::{
    Budget, Detector, Unscannable,
    budget::List,
    detector::Kinds,
    text::{Marks, View},
};

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
pub(crate) fn find<'r>(detectors: Kinds, view: &View<'_>, key: &str, budget: &'r Budget<'r>) -> Result<List<'r, Hit>, Unscannable> {
    let mut hits = List::new(budget);
    let text = view.text.as_ref();
    if detectors.is_empty() || text.len() < 5 {
        return Ok(hits);
    }
    // Each pass over the text; what is done at some places besides counts itself.
    budget.spend(text.len())?;
    let context = Context::new(view, key, budget);
    let groups = Groups::of(&context)?;
    for kind in [Detector::Secret, Detector::Iban, Detector::Card, Detector::NationalId, Detector::Ip, Detector::Email, Detector::Phone] {
        let is_seen = match kind {
            Detector::Secret => true,
            Detector::Email => view.marks.any(Marks::AT),
            Detector::Ip => view.marks.any(Marks::DOT.and(Marks::COLON)) && groups.digits() > 0,
            Detector::Iban | Detector::NationalId => groups.digits() > 0,
            Detector::Phone => groups.digits() >= phone::DIGITS.0,
            Detector::Card => groups.digits() >= card::DIGITS.0,
        };
        if !is_seen || !detectors.contains(kind) {
            continue;
        }
        let mut found = List::new(budget);
        match kind {
            Detector::Secret => secret::find(&context, &mut found)?,
            Detector::Iban => iban::find(&context, &groups, &mut found)?,
            Detector::Card => card::find(&context, &groups, &mut found)?,
            Detector::NationalId => national::find(&context, &groups, &mut found)?,
            Detector::Ip => ip::find(&context, &groups, &mut found)?,
            Detector::Email => email::find(&context, &mut found)?,
            Detector::Phone => phone::find(&context, &groups, &mut found)?,
        }
        context.end()?;
        budget.spend(SORTED * found.len())?;
        found.sort_by_key(|at: &Range<usize>| (at.start, at.end));
        let surer = hits.len();
        for one in found.chunk_by(PartialEq::eq).filter_map(<[_]>::first) {
            // Those before it are sorted and, but for a few that overlap, apart.
            let near = hits.get(..surer).unwrap_or_default();
            let from = near.partition_point(|hit: &Hit| hit.at.end <= one.start);
            if !near.get(from..).unwrap_or_default().iter().take(2).any(|hit| hit.at.start <= one.start && one.end <= hit.at.end) {
                hits.push(Hit { kind, at: one.clone() })?;
            }
        }
        if hits.len() > surer {
            hits.sort_by_key(|hit| (hit.at.start, hit.at.end));
        }
    }
    Ok(hits)
}

/// The byte at a place; 0 outside of the text.
fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes().get(at).copied().unwrap_or(0)
}

/// Where a detector puts what it finds.
type Places<'r> = List<'r, Range<usize>>;

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
