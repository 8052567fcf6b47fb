//! Patterns over a long text, a window at a time, so that the work can be stopped: nothing interrupts a matcher inside of one.

use std::ops::Range;

use regex::RegexSet;

use crate::{Budget, Unscannable};

/// What is matched at a time, in bytes. Patterns as large as they may be take some hundred microseconds a byte at the worst.
const WINDOW: usize = 4 << 10;
/// How much of the window before it each sees again, in bytes: in a longer text than a window, what a pattern matches may be so long.
const OVERLAP: usize = 2 << 10;
/// What is matched in a window of a longer text wherever it stands, in bytes: a little less, because windows begin and end at characters.
pub(super) const PART: usize = OVERLAP - 8;
/// What a byte costs, in steps, where patterns are ordinary.
const STEP: usize = 4;
/// How far behind a window's end it is looked whether that is what made a pattern match.
const BEYOND: usize = 64;
/// Light patterns go over so short a text without a look at the clock, in bytes.
const SHORT: usize = 512;

/// Which patterns match somewhere.
///
/// # Errors
/// It takes more than the budget.
pub(super) fn matches(patterns: &RegexSet, text: &str, light: bool, budget: &Budget<'_>) -> Result<Vec<usize>, Unscannable> {
    let mut found: Vec<usize> = Vec::new();
    let mut from = 0;
    loop {
        let end = boundary(text, from + WINDOW);
        let hits = at(patterns, text, from..end, light, budget)?;
        if end >= text.len() {
            found.extend(new(&found, hits));
            return Ok(found);
        }
        if hits.iter().any(|hit| !found.contains(hit)) {
            // `$` and `\b` hold at the end of a window, where no text ends: what matches by that alone does not at another end.
            let again = at(patterns, text, from..boundary(text, end + BEYOND), light, budget)?;
            found.extend(new(&found, hits).into_iter().filter(|hit| again.contains(hit)));
            if found.len() == patterns.len() {
                return Ok(found);
            }
        }
        from = boundary(text, end - OVERLAP);
    }
}

/// Those that were not found before.
fn new(found: &[usize], hits: Vec<usize>) -> Vec<usize> {
    hits.into_iter().filter(|hit| !found.contains(hit)).collect()
}

/// Whether a pattern may match in a part of a text that is no longer than [`PART`], and no word goes on beside.
///
/// # Errors
/// It takes more than the budget.
pub(super) fn may_match(patterns: &RegexSet, text: &str, light: bool, budget: &Budget<'_>) -> Result<bool, Unscannable> {
    let mut from = 0;
    loop {
        let end = boundary(text, from + WINDOW);
        let may = any(patterns, text, from..end, light, budget)?;
        if may || end >= text.len() {
            return Ok(may);
        }
        from = boundary(text, end - OVERLAP);
    }
}

/// Which patterns match in a part. What stands before it counts, what stands behind it does not.
fn at(patterns: &RegexSet, text: &str, at: Range<usize>, light: bool, budget: &Budget<'_>) -> Result<Vec<usize>, Unscannable> {
    // Whether one matches is told sooner than which.
    if !any(patterns, text, at.clone(), light, budget)? {
        return Ok(Vec::new());
    }
    budget.spend(STEP * at.len())?;
    Ok(patterns.matches_at(text.get(..at.end).unwrap_or_default(), at.start).into_iter().collect())
}

/// Whether a pattern matches in a part.
fn any(patterns: &RegexSet, text: &str, at: Range<usize>, light: bool, budget: &Budget<'_>) -> Result<bool, Unscannable> {
    budget.spend(STEP * at.len())?;
    // A large pattern may take thousands of steps a byte, or one: only the clock knows.
    if !light || at.len() > SHORT {
        budget.look()?;
    }
    Ok(patterns.is_match_at(text.get(..at.end).unwrap_or_default(), at.start))
}

/// The last edge of a character up to a place.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        let patterns = RegexSet::new([pattern]).unwrap();
        let hits = matches(&patterns, text, true, &Budget::default()).unwrap();
        assert!(hits.iter().all(|_| patterns.is_match(text)), "{pattern}: no window sees what is not there");
        hits.contains(&0)
    }

    #[test]
    fn a_window_sees_what_the_whole_text_shows_and_nothing_else() {
        let filling = |length: usize| "x\u{e9} ".repeat(length / 4);
        for before in [0, WINDOW - 10, WINDOW - 4, WINDOW, 2 * WINDOW - OVERLAP - 5, 5 * WINDOW] {
            let text = format!("{}needle{}hay{}", filling(before), filling(1_500), filling(3 * WINDOW));
            assert!(found("(?s)needle.{1,1600}hay", &text) && found(r"\bneedle", &text), "{before}");
            assert!(!found("needle$", &text) && !found("^needle", &format!(" {text}")) && !found(r"needle\bh", &text));
        }
        // Wherever a window ends, no text does.
        let long = "ab".repeat(5 * WINDOW);
        assert!(!found("a$", &long) && found("b$", &long) && !found(r"a\b", &long));
        for at in 0..40 {
            assert!(!found("needle$", &format!("{}needle and more{}", " ".repeat(WINDOW - 20 + at), " ".repeat(WINDOW))));
        }
    }

    #[test]
    fn the_work_stops_at_the_next_window() {
        let patterns = RegexSet::new(["nothing"]).unwrap();
        let budget = Budget::new((3 * STEP * WINDOW) as u64);
        assert_eq!(matches(&patterns, &"x".repeat(100 * WINDOW), true, &budget), Err(Unscannable::Effort));
        assert!(budget.spent() <= (3 * STEP * WINDOW) as u64);
        let over = Budget::default().until(std::time::Instant::now());
        assert_eq!(
            matches(&patterns, "x", false, &over),
            Err(Unscannable::Effort),
            "whatever a window takes, the clock is seen before the next"
        );
    }
}
