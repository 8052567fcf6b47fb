//! One tenant's filter: which detectors run and which topics are blocked, compiled.

use std::collections::BTreeSet;

use crate::{Detector, Media, Topics, Unscannable};

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
    /// Where the body cannot be read. Then nothing is known of it.
    pub fn scan(&self, media: &Media<'_>, body: &[u8]) -> Result<Found, Unscannable> {
        let _ = media;
        if body.is_empty() { Ok(Found::default()) } else { Err(Unscannable::Type) }
    }

    /// Finds what is in a whole body and takes the personal data out of it. What comes out holds none that this filter finds.
    ///
    /// # Errors
    /// Where the body cannot be read, or not rewritten.
    pub fn redact(&self, media: &Media<'_>, body: &[u8]) -> Result<Redacted, Unscannable> {
        self.scan(media, body).map(|found| Redacted { body: None, found })
    }
}
