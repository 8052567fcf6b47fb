//! Text as it is looked at: folded, with a way back to the bytes of the body that each character was read from.
//!
//! Folding takes away what people do not see and machines trip over: compatibility forms (NFKD: full-width digits, ligatures, mathematical
//! letters), combining marks, characters without width, control characters, other scripts' digits, other kinds of dash and space. Case
//! stays: keys and ids are told apart by it.

use std::{borrow::Cow, ops::Range};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::Unscannable;

mod alike;
mod escape;
mod fold;
mod layer;

pub(crate) use alike::alike;
pub(crate) use layer::Layer;

/// How often longer than it was a text may become by folding: Korean three times, one Arabic ligature eleven times.
const MAX_GROWTH: usize = 4;
/// However short it was, it may become so long, in bytes.
const SHORT: usize = 4 << 10;

/// Folded text.
pub(crate) struct View<'b> {
    pub(crate) text: Cow<'b, str>,
    /// Whether all of it is what its layer says it is: UTF-8.
    pub(crate) sound: bool,
    origin: Origin,
}

/// Where each byte of the text was read from.
enum Origin {
    /// So many bytes further on: nothing was folded.
    Shift(usize),
    /// For each byte of the text, and for its end, where the character began in the body.
    Table(Vec<u32>),
}

impl<'b> View<'b> {
    /// Reads a part of a body.
    ///
    /// # Errors
    /// `Malformed` where the layer's escapes or bytes cannot be read; `TooLarge` where folding makes much more of it than it was.
    pub(crate) fn of(layer: Layer, body: &'b [u8], at: Range<usize>) -> Result<Self, Unscannable> {
        let bytes = body.get(at.clone()).ok_or(Unscannable::Malformed)?;
        if let Some(text) = layer.plain(bytes) {
            return Ok(Self { text: Cow::Borrowed(text), sound: true, origin: Origin::Shift(at.start) });
        }
        let mut text = String::with_capacity(bytes.len());
        let mut starts = Vec::with_capacity(bytes.len() + 1);
        let most = MAX_GROWTH * bytes.len() + SHORT;
        let sound = layer.each(bytes, &mut |seen, start| {
            let start = u32::try_from(at.start + start).unwrap_or(u32::MAX);
            if text.len() > most {
                return;
            }
            fold::each(seen, &mut |folded| {
                text.push(folded);
                starts.resize(text.len(), start);
            });
        })?;
        if text.len() > most {
            return Err(Unscannable::TooLarge);
        }
        starts.push(u32::try_from(at.end).unwrap_or(u32::MAX));
        Ok(Self { text: Cow::Owned(text), sound, origin: Origin::Table(starts) })
    }

    /// The same once more with its escapes undone, if there are some in it: backslashes, percent-encoding, character references.
    ///
    /// # Errors
    /// `TooLarge` where that makes much more of it than it was.
    pub(crate) fn unescaped(&self) -> Result<Option<View<'static>>, Unscannable> {
        if !escape::are_in(&self.text) {
            return Ok(None);
        }
        let most = MAX_GROWTH * self.text.len() + SHORT;
        let mut text = String::with_capacity(self.text.len());
        let mut starts = Vec::with_capacity(self.text.len() + 1);
        escape::each(&self.text, &mut |seen, start| {
            let start = self.start(start);
            if text.len() > most {
                return;
            }
            fold::each(seen, &mut |folded| {
                text.push(folded);
                starts.resize(text.len(), start);
            });
        });
        if text.len() > most {
            return Err(Unscannable::TooLarge);
        }
        starts.push(self.start(self.text.len()));
        Ok(Some(View { text: Cow::Owned(text), sound: true, origin: Origin::Table(starts) }))
    }

    /// What it holds beside the body, in bytes.
    pub(crate) fn size(&self) -> usize {
        match &self.origin {
            Origin::Shift(_) => 0,
            Origin::Table(starts) => self.text.len() + starts.len() * size_of::<u32>(),
        }
    }

    /// Where in the body a byte of the text was read from.
    fn start(&self, at: usize) -> u32 {
        match &self.origin {
            Origin::Shift(by) => u32::try_from(at + by).unwrap_or(u32::MAX),
            Origin::Table(starts) => starts.get(at).copied().unwrap_or_default(),
        }
    }

    /// The bytes of the body that a part of the text was read from.
    pub(crate) fn origin(&self, at: Range<usize>) -> Range<usize> {
        match &self.origin {
            Origin::Shift(by) => at.start + by..at.end + by,
            Origin::Table(starts) => {
                let of = |index: usize| starts.get(index).copied().unwrap_or_default();
                let last = of(at.end.saturating_sub(1));
                // A character of the body may have become several: all of it belongs to the part.
                let end = starts.iter().skip(at.end).find(|start| **start > last).copied().unwrap_or_else(|| of(starts.len() - 1));
                of(at.start) as usize..end as usize
            }
        }
    }
}

/// Text that stands outside of a body: a phrase, a pattern, a word of a policy.
pub(crate) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for seen in text.chars() {
        fold::each(seen, &mut |one| folded.push(one));
    }
    folded
}

/// Folded text as phrases are compared: without case (ß is ss, ſ and final ς are s and σ), and every run of spaces, hyphens and underscores
/// one space.
pub(crate) fn spoken(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    let mut gap = false;
    for seen in text.chars() {
        if seen.is_whitespace() || matches!(seen, '-' | '_') {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            spoken.push(' ');
        }
        if seen.is_ascii() {
            spoken.push(seen.to_ascii_lowercase());
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
