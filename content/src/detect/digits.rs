//! Numbers as people write them: groups of digits with spaces, dots, dashes and the like between them.

use std::ops::Range;

use super::{Context, byte, is_word};
use crate::{Budget, Unscannable, budget::List, text::Marks};

/// The groups of digits of a text.
pub(super) struct Groups<'t> {
    text: &'t str,
    groups: List<'t, Group>,
    digits: usize,
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
    digits: [u8; MAX_DIGITS],
    count: usize,
    lengths: [usize; MAX_DIGITS],
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
    /// # Errors
    /// `Crowded`: there is no room for all of them.
    pub(super) fn of(context: &Context<'t>) -> Result<Self, Unscannable> {
        let mut groups: List<'t, Group> = List::new(context.budget);
        let text = context.text;
        let bytes = if context.marks.any(Marks::DIGIT) { text.as_bytes() } else { &[] };
        let (mut at, mut digits) = (0, 0);
        while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
            let start = at + found;
            let end = start + bytes.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
            let gap = groups.last().and_then(|last| bytes.get(last.end()..start)).filter(|gap| gap.len() <= MAX_GAP);
            let joined = gap.is_some_and(|gap| gap.iter().all(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')')));
            groups.push(Group { start: short(start), end: short(end), joined })?;
            digits += end - start;
            at = end;
        }
        Ok(Self { text, groups, digits })
    }

    /// Gives each number of a length in digits that begins and ends at the edge of a group, and no longer word.
    /// A number of more groups than [`MAX_GROUPS`] is given only if nothing goes on before or after it. Whoever takes a number says so. `costs` is what a number costs
    /// whoever looks at it, in steps.
    pub(super) fn each(
        &self,
        (least, most): (usize, usize),
        (budget, costs): (&Budget<'_>, usize),
        mut take: impl FnMut(&Number<'_>) -> Result<bool, Unscannable>,
    ) -> Result<(), Unscannable> {
        if self.digits < least {
            return Ok(());
        }
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
                        if row && take(&self.number(first, last, [begin.joined, goes_on]))? {
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

    /// The groups, in order.
    pub(super) fn each_group(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.groups.iter().map(|group| group.start()..group.end())
    }

    /// How many digits there are.
    pub(super) const fn digits(&self) -> usize {
        self.digits
    }

    fn number(&self, first: usize, last: usize, cut: [bool; 2]) -> Number<'_> {
        let groups = self.groups.get(first..=last).unwrap_or_default();
        let mut number = Number { text: self.text, groups, digits: [0; MAX_DIGITS], count: 0, lengths: [0; MAX_DIGITS], cut };
        for (group, length) in groups.iter().zip(&mut number.lengths) {
            *length = group.end() - group.start();
            let written = self.text.as_bytes().get(group.start()..group.end()).unwrap_or_default();
            let places = number.digits.iter_mut().skip(number.count);
            number.count += places.zip(written).map(|(place, digit)| *place = digit - b'0').count();
        }
        number
    }
}

impl Number<'_> {
    pub(super) fn at(&self) -> Range<usize> {
        self.groups.first().map_or(0, Group::start)..self.groups.last().map_or(0, Group::end)
    }

    pub(super) fn digits(&self) -> &[u8] {
        self.digits.get(..self.count).unwrap_or_default()
    }

    /// The lengths of the groups.
    pub(super) fn shape(&self) -> &[usize] {
        self.lengths.get(..self.groups.len()).unwrap_or_default()
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
        self.digits().get(at).unwrap_or_default().iter().fold(0, |value, digit| value * 10 + u64::from(*digit))
    }
}

/// Luhn's check (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits.iter().rev().enumerate().map(|(at, digit)| u32::from(if at % 2 == 1 { doubled(*digit) } else { *digit })).sum();
    sum.is_multiple_of(10)
}
