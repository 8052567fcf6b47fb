//! Numbers as people write them: groups of digits with spaces, dots, dashes and the like between them.

use std::ops::Range;

use super::{byte, is_word};
use crate::{Budget, Unscannable};

/// The groups of digits of a text.
pub(super) struct Groups<'t> {
    text: &'t str,
    groups: Vec<Group>,
}

#[derive(Clone, Copy)]
struct Group {
    start: u32,
    end: u32,
    /// Whether only separators stand between the group before and this one.
    joined: bool,
}

/// Some groups in a row, read as one number.
pub(super) struct Number<'g> {
    pub(super) text: &'g str,
    groups: &'g [Group],
    pub(super) digits: Vec<u8>,
    /// Whether the number goes on before or after.
    pub(super) cut: [bool; 2],
}

/// The most separators between two groups.
const MAX_GAP: usize = 3;
/// The most groups of a number that stands in a longer row: so the work at each place of a row is bounded.
const MAX_GROUPS: usize = 8;
/// The longest number, in digits.
const MAX_DIGITS: usize = 20;

impl Group {
    const fn start(&self) -> usize {
        self.start as usize
    }

    const fn end(&self) -> usize {
        self.end as usize
    }
}

/// Places of a text that is read fit into half a word: a text of many numbers has many groups.
fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'t> Groups<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let (mut groups, mut at): (Vec<Group>, usize) = (Vec::new(), 0);
        while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
            let start = at + found;
            let end = start + bytes.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
            let joined = groups.last().is_some_and(|last| {
                let gap = bytes.get(last.end()..start).unwrap_or_default();
                gap.len() <= MAX_GAP && gap.iter().all(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')'))
            });
            groups.push(Group { start: short(start), end: short(end), joined });
            at = end;
        }
        Self { text, groups }
    }

    /// What they hold beside the text, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.groups.as_slice())
    }

    /// Gives each number of a length in digits that begins and ends at the edge of a group, and no longer word.
    /// A number of more groups than [`MAX_GROUPS`] is given only if nothing goes on before or after it. Whoever takes a number says so. `costs` is what a number costs
    /// whoever looks at it, in steps.
    pub(super) fn each(
        &self,
        (least, most): (usize, usize),
        (budget, costs): (&Budget<'_>, usize),
        mut take: impl FnMut(&Number<'_>) -> bool,
    ) -> Result<(), Unscannable> {
        let mut first = 0;
        while let Some(begin) = self.groups.get(first) {
            let mut next = first + 1;
            if begin.start == 0 || !is_word(byte(self.text, begin.start() - 1)) {
                let (mut count, mut last) = (0, first);
                while let Some(group) = self.groups.get(last).filter(|group| last == first || group.joined) {
                    budget.spend(1)?;
                    count += group.end() - group.start();
                    if count > most.min(MAX_DIGITS) {
                        break;
                    }
                    if count >= least && !is_word(byte(self.text, group.end())) {
                        let goes_on = self.groups.get(last + 1).is_some_and(|next| next.joined);
                        let row = last - first < MAX_GROUPS || !(begin.joined || goes_on);
                        budget.spend(if row { costs } else { 0 })?;
                        if row && take(&self.number(first, last, [begin.joined, goes_on])) {
                            next = last + 1;
                            break;
                        }
                    }
                    last += 1;
                }
            }
            first = next;
        }
        Ok(())
    }

    fn number(&self, first: usize, last: usize, cut: [bool; 2]) -> Number<'_> {
        let groups = self.groups.get(first..=last).unwrap_or_default();
        let digits = groups.iter().flat_map(|group| self.text.as_bytes().get(group.start()..group.end()).unwrap_or_default());
        Number { text: self.text, groups, digits: digits.map(|digit| digit - b'0').collect(), cut }
    }
}

impl Number<'_> {
    pub(super) fn at(&self) -> Range<usize> {
        self.groups.first().map_or(0, Group::start)..self.groups.last().map_or(0, Group::end)
    }

    /// The lengths of the groups.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.groups.iter().map(|group| group.end() - group.start()).collect()
    }

    /// What stands between the groups.
    pub(super) fn gaps(&self) -> impl Iterator<Item = &str> {
        self.groups.windows(2).filter_map(|pair| match pair {
            [one, two] => self.text.get(one.end()..two.start()),
            _ => None,
        })
    }

    /// Whether every gap is this text.
    pub(super) fn is_joined_by(&self, gap: &str) -> bool {
        self.gaps().all(|one| one == gap)
    }

    /// Whether the number stands alone: what goes on before or after it does so behind a space.
    pub(super) fn is_apart(&self) -> bool {
        let at = self.at();
        let edge = |cut: bool, byte: u8| !cut || byte == b' ';
        edge(self.cut[0], if at.start == 0 { 0 } else { byte(self.text, at.start - 1) }) && edge(self.cut[1], byte(self.text, at.end))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.cut == [false, false]
    }

    /// The value of some of the digits.
    pub(super) fn value(&self, at: Range<usize>) -> u64 {
        self.digits.get(at).unwrap_or_default().iter().fold(0, |value, digit| value * 10 + u64::from(*digit))
    }
}

/// Luhn's check (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits.iter().rev().enumerate().map(|(at, digit)| u32::from(if at % 2 == 1 { doubled(*digit) } else { *digit })).sum();
    sum.is_multiple_of(10)
}
