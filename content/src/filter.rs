//! One tenant's filter: which detectors run and which topics are blocked, compiled.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    Budget, Detector, Media, Topics, Unscannable, coding,
    media::Kind,
    read::{Reading, rewritten},
    text::Layer,
};

#[cfg(test)]
mod tests;

/// How often a body is rewritten before it is given up.
const MAX_ROUNDS: usize = 4;

/// What is looked for. Equal, and shown, by what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    detectors: BTreeSet<Detector>,
    topics: Topics,
}

/// What was found: kinds and labels, never values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The kinds of personal data.
    pub pii: BTreeSet<Detector>,
    /// The labels of the blocked topics.
    pub topics: BTreeSet<String>,
}

impl Found {
    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.pii.extend(other.pii);
        self.topics.extend(other.topics);
        self
    }
}

/// A body after [`Filter::redact`].
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The new body; absent: there was nothing to take out, and the body goes on as it arrived. A new body has no content encoding: whoever
    /// sends it removes `Content-Encoding` and what was computed of the old one (`ETag`, `Content-MD5`, `Digest`, `Content-Digest`), and
    /// sets `Content-Length`.
    pub body: Option<Vec<u8>>,
    /// What was found in the body as it arrived.
    pub found: Found,
}

impl std::fmt::Debug for Redacted {
    /// Bodies never appear in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redacted").field("body", &self.body.as_ref().map(Vec::len)).field("found", &self.found).finish()
    }
}

impl Filter {
    /// The largest body that is read, in bytes: as it arrives, and decoded.
    pub const MAX_BYTES: usize = 8 << 20;

    /// A filter that runs these detectors, none if empty, and finds these topics.
    #[must_use]
    pub fn new(detectors: BTreeSet<Detector>, topics: Topics) -> Self {
        Self { detectors, topics }
    }

    /// The detectors that run.
    #[must_use]
    pub fn detectors(&self) -> &BTreeSet<Detector> {
        &self.detectors
    }

    /// The topics that are looked for.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.detectors.is_empty() && self.topics.is_empty()
    }

    /// This filter without its detectors: topics alone.
    #[must_use]
    pub fn topics_alone(&self) -> Self {
        Self { detectors: BTreeSet::new(), topics: self.topics.clone() }
    }

    /// Finds what is in a whole body: always both, topics and personal data.
    ///
    /// # Errors
    /// Where the body cannot be read, or not within the budget. Then nothing is known of it.
    pub fn scan(&self, media: &Media<'_>, body: &[u8], budget: &Budget<'_>) -> Result<Found, Unscannable> {
        let (kind, plain) = media.open(body, budget)?;
        let beside = self.beside(media, &kind, body, budget)?;
        self.read(&kind, &plain, false, budget).map(|reading| reading.found.and(beside))
    }

    /// What shows in a coded body as it stands: bytes beside what is coded (names in gzip's header, frames that are skipped) are read by whoever does not mind the coding.
    fn beside(&self, media: &Media<'_>, kind: &Kind, body: &[u8], budget: &Budget<'_>) -> Result<Found, Unscannable> {
        media.unminded(kind).map_or_else(|| Ok(Found::default()), |kind| self.lax(&kind, body, budget))
    }

    /// Finds what is in a whole body and takes the personal data out of it. What comes out holds none that this filter finds.
    ///
    /// # Errors
    /// Where the body cannot be read, or not rewritten.
    pub fn redact(&self, media: &Media<'_>, body: &[u8], budget: &Budget<'_>) -> Result<Redacted, Unscannable> {
        let (kind, plain) = media.open(body, budget)?;
        let beside = self.beside(media, &kind, body, budget)?;
        let (unrewritable, body) = (!beside.pii.is_empty(), plain);
        let first = self.read(&kind, &body, true, budget)?;
        let (found, mut marks) = (first.found.and(beside), first.marks);
        if unrewritable {
            // A topic answers first.
            let refused = !found.topics.is_empty();
            return if refused { Ok(Redacted { body: None, found }) } else { Err(Unscannable::Unrewritable) };
        }
        if found.pii.is_empty() {
            return Ok(Redacted { body: None, found });
        }
        let mut edits = first.edits.unwrap_or_default();
        // The one that is read, and the one that is written.
        budget.hold(2 * body.len())?;
        let mut body = body.into_owned();
        // What is taken out may bring together what stood around it, so what comes out is read again.
        for _ in 0..MAX_ROUNDS {
            if edits.is_empty() {
                break;
            }
            body = rewritten(&body, edits, &marks);
            let again = self.read(&kind, &body, true, budget)?;
            if again.found.pii.is_empty() {
                return Ok(Redacted { body: Some(body), found });
            }
            (edits, marks) = (again.edits.unwrap_or_default(), again.marks);
        }
        Err(Unscannable::Unrewritable)
    }

    /// Finds what a body shows that cannot be read as what it says it is, where a policy lets such bodies pass: its bytes as text, so far as
    /// they are any, and its codings undone, so far as they can be.
    ///
    /// # Errors
    /// Where that takes more than the budget: such a body does not pass.
    pub fn glance(&self, media: &Media<'_>, body: &[u8], budget: &Budget<'_>) -> Result<Found, Unscannable> {
        let plain = match coding::decoded(&media.content_encoding, body, budget) {
            Err(why) if why.is_ours() => return Err(why),
            decoded => decoded.unwrap_or(Cow::Borrowed(body)),
        };
        self.lax(&Kind::Text(Layer::Plain), &plain, budget)
    }

    /// What shows to whoever takes any bytes.
    fn lax(&self, kind: &Kind, plain: &[u8], budget: &Budget<'_>) -> Result<Found, Unscannable> {
        let plain = plain.get(..plain.len().min(Self::MAX_BYTES)).unwrap_or_default();
        let text = String::from_utf8_lossy(plain);
        budget.hold(text.len())?;
        let reading = self.read(kind, text.as_bytes(), false, budget);
        budget.release(text.len());
        match reading {
            Err(why) if why.is_ours() => Err(why),
            reading => Ok(reading.map(|reading| reading.found).unwrap_or_default()),
        }
    }

    /// Finds what is in a path, as it arrived: percent-encoding is undone once.
    ///
    /// # Errors
    /// `Malformed`: encoded bytes that are not UTF-8. Or it takes more than the budget.
    pub fn scan_path(&self, path: &str, budget: &Budget<'_>) -> Result<Found, Unscannable> {
        self.read(&Kind::Text(Layer::Percent), path.as_bytes(), false, budget).map(|reading| reading.found)
    }

    /// Finds what is in the query of a path, as it arrived.
    ///
    /// # Errors
    /// As [`Filter::scan_path`].
    pub fn scan_query(&self, query: &str, budget: &Budget<'_>) -> Result<Found, Unscannable> {
        self.read(&Kind::Form, query.as_bytes(), false, budget).map(|reading| reading.found)
    }

    fn read<'f>(&'f self, kind: &Kind, body: &[u8], redact: bool, budget: &'f Budget<'f>) -> Result<Reading<'f>, Unscannable> {
        // However many readings there are, the clock is seen in each.
        budget.look()?;
        let mut reading = Reading::new(self, budget, redact);
        if !body.is_empty() {
            reading.read(kind, body, 0..body.len())?;
        }
        Ok(reading)
    }
}
