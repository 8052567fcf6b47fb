//! Text as it is looked at: folded, with a way back to the bytes of the body that each character was read from.
//!
//! Folding takes away what people do not see and machines trip over: compatibility forms (NFKD: full-width digits, ligatures, mathematical
//! letters), combining marks, characters without width, control characters, other scripts' digits, other kinds of dash and space. Case
//! stays: keys and ids are told apart by it.

use std::{borrow::Cow, ops::Range};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::{Budget, Unscannable};

mod alike;
mod escape;
mod fold;
mod layer;
mod marks;
mod reference;
mod written;

pub(crate) use alike::alike;
pub(crate) use fold::Eye;
pub(crate) use layer::Layer;
pub(crate) use marks::Marks;
use written::{Run, Written};

/// What a byte costs where something is folded or undone, in steps.
const FOLDED: usize = 6;

/// Folded text.
pub(crate) struct View<'b> {
    pub(crate) text: Cow<'b, str>,
    /// The kinds of bytes in it.
    pub(crate) marks: Marks,
    /// Whether all of it is what its layer says it is: UTF-8.
    pub(crate) sound: bool,
    /// Whether the other eye reads something else there.
    differs: bool,
    eye: Eye,
    origin: Origin,
    /// What it holds beside the body, in bytes.
    pub(crate) size: usize,
}

/// Where each byte of the text was read from.
enum Origin {
    /// So many bytes further on: nothing was folded.
    Shift(usize),
    /// Run by run, and where the body that was read ends.
    Runs(Vec<Run>, usize),
}

impl<'b> View<'b> {
    /// Reads a part of a body. What that holds is taken from the budget's room.
    ///
    /// # Errors
    /// `Malformed` where the layer's escapes or bytes cannot be read; `TooLarge` where folding makes much more of it than it was; `Crowded`.
    #[inline]
    pub(crate) fn of(layer: Layer, eye: Eye, body: &'b [u8], at: Range<usize>, budget: &Budget<'_>) -> Result<Self, Unscannable> {
        let bytes = body.get(at.clone()).ok_or(Unscannable::Malformed)?;
        let marks = Marks::of(bytes);
        if !marks.any(layer.altered()) {
            let text = str::from_utf8(bytes).map_err(|_| Unscannable::Malformed)?;
            let origin = Origin::Shift(at.start);
            return Ok(Self { text: Cow::Borrowed(text), marks, sound: true, differs: false, eye, origin, size: 0 });
        }
        Self::folded(layer, eye, bytes, at, budget)
    }

    fn folded(layer: Layer, eye: Eye, bytes: &[u8], at: Range<usize>, budget: &Budget<'_>) -> Result<Self, Unscannable> {
        budget.spend(FOLDED * bytes.len())?;
        let mut written = Written::of(Err(at.start), eye, bytes.len(), budget);
        let sound = layer.each(bytes, &mut written)?;
        View::done(written, eye, sound, at.end)
    }

    /// The same once more with its escapes undone, if there are some in it: backslashes, percent-encoding, character references.
    ///
    /// # Errors
    /// `TooLarge` where that makes much more of it than it was; `Crowded`.
    pub(crate) fn unescaped(&self, budget: &Budget<'_>) -> Result<Option<View<'static>>, Unscannable> {
        if !escape::are_in(&self.text, self.marks, self.eye) {
            return Ok(None);
        }
        budget.spend(FOLDED * self.text.len())?;
        let mut written = Written::of(Ok(self), self.eye, self.text.len(), budget);
        escape::each(&self.text, self.marks, &mut written);
        View::done(written, self.eye, true, self.start(self.text.len())).map(Some)
    }

    fn done(written: Written<'_>, eye: Eye, sound: bool, end: usize) -> Result<Self, Unscannable> {
        let (text, runs, size, differs) = written.done()?;
        let (marks, origin) = (Marks::of(text.as_bytes()), Origin::Runs(runs, end));
        Ok(Self { marks, text: Cow::Owned(text), sound, differs, eye, origin, size })
    }

    /// Whether the other eye reads something else in it: as it is written, or once it is undone.
    pub(crate) const fn is_ambiguous(&self) -> bool {
        self.differs || escape::are_form(self.marks)
    }

    /// Whether the text stands in the body as it is.
    pub(crate) const fn is_written_so(&self) -> bool {
        matches!(self.origin, Origin::Shift(_))
    }

    fn runs(&self) -> Option<&[Run]> {
        match &self.origin {
            Origin::Shift(_) => None,
            Origin::Runs(runs, _) => Some(runs),
        }
    }

    /// The runs from the one on that a byte of the text is in.
    fn runs_at(runs: &[Run], at: usize) -> &[Run] {
        runs.get(runs.partition_point(|run| run.text as usize <= at).saturating_sub(1)..).unwrap_or_default()
    }

    /// Where in the body a byte of the text was read from, or the end of what was read.
    fn start(&self, at: usize) -> usize {
        match &self.origin {
            Origin::Shift(by) => at + by,
            Origin::Runs(_, end) if at >= self.text.len() => *end,
            Origin::Runs(runs, _) => Self::runs_at(runs, at).first().map_or(0, |run| run.of(at)),
        }
    }

    /// The bytes of the body that a part of the text was read from.
    pub(crate) fn origin(&self, at: Range<usize>) -> Range<usize> {
        let start = self.start(at.start);
        let (runs, end) = match &self.origin {
            Origin::Shift(by) => return start..at.end + by,
            Origin::Runs(runs, end) => (Self::runs_at(runs, at.end.saturating_sub(1)), *end),
        };
        let Some((run, more)) = runs.split_first() else { return start..end };
        let last = run.of(at.end.saturating_sub(1));
        if run.stride() > 0 && more.first().map_or(self.text.len(), |next| next.text as usize) > at.end {
            return start..run.of(at.end);
        }
        // A character of the body may have become several, and others nothing: all of it belongs to the part, and so does what shows nowhere.
        start..more.iter().map(|next| next.body()).find(|next| *next > last).unwrap_or(end)
    }
}

/// Text that stands outside of a body: a phrase, a pattern, a word of a policy.
pub(crate) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for seen in text.chars() {
        fold::each(seen, Eye::Person, &mut |one| folded.push(one));
    }
    folded
}

/// Folded text as phrases are compared: without case (ß is ss, ſ and final ς are s and σ), and every run of spaces, hyphens, underscores and marks of Markdown
/// one space.
pub(crate) fn spoken(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    let mut gap = false;
    for seen in text.chars() {
        if seen.is_whitespace() || matches!(seen, '-' | '_' | '*' | '`' | '~') {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            spoken.push(' ');
        }
        if seen.is_ascii() {
            spoken.push(seen.to_ascii_lowercase());
        } else if seen == 'ẞ' {
            spoken.push_str("ss");
        } else if is_spoken_so(seen) {
            spoken.push(seen);
        } else {
            let lower = seen.to_uppercase().flat_map(char::to_lowercase);
            spoken.extend(lower.nfkd().filter(|one| !is_combining_mark(*one)));
        }
    }
    if gap {
        spoken.push(' ');
    }
    spoken
}

/// Letters beyond ASCII that phrases are compared by as they are, of scripts that much is written in. There are more.
const fn is_spoken_so(one: char) -> bool {
    matches!(one, 'а'..='и' | 'к'..='я' | 'א'..='ת' | '\u{627}'..='\u{64a}' | 'ก'..='ะ' | 'ぁ'..='か' | 'な'..='の' | 'ま'..='ん' | '一'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_be_spoken_as_it_is_written_is() {
        for one in ('\0'..=char::MAX).filter(|one| is_spoken_so(*one)) {
            let spoken: String = one.to_uppercase().flat_map(char::to_lowercase).nfkd().filter(|one| !is_combining_mark(*one)).collect();
            assert_eq!(spoken, one.to_string());
        }
    }
}
