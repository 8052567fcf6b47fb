//! Whoever reads a body on its way: personal data and topics ([`super::content`]), MCP's filter of `tools/list`.
//!
//! Several may read one body. Each reads what the one before it left, and the first that denies answers. A reader is a pure function of the body and of
//! what it was built from: what is not small is run off the I/O threads (S5), and what it finds are kinds and names, never values.

use std::sync::Arc;

use bulkhead_content::{Budget, Found, Media, Unscannable, is_plain};

use super::Side;
use crate::{
    attributes::Headers,
    verdict::{Denial, Reason},
};

/// Reads one body, whole.
///
/// What is to be added here is built in [`super::plan`], where the policy, the API and what Check told are known, and pushed to the side that it
/// reads: `plan.response.push(Arc::new(ToolsFilter { … }))`. The obligation (`process: response`) comes from the guardrail in Check that wants it.
pub trait Reader: Send + Sync {
    /// Keeps the body (`body: None`), writes it anew, or denies, within a budget. A new body has no content encoding.
    ///
    /// # Errors
    /// A refusal: the body goes no further.
    fn read(&self, representation: &Representation, body: &[u8], budget: &Budget<'_>) -> Result<Reading, Refusal>;

    /// Whether so many bytes are read at once, or tried to be: in less time than the way to another thread takes, or in steps that are counted
    /// ([`crate::offload::small`]).
    fn is_light(&self, _representation: &Representation, _bytes: usize) -> bool {
        false
    }
}

/// What came of reading a body.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The new body; none: it goes on as it is.
    pub body: Option<Vec<u8>>,
    /// What was found in it, as it was.
    pub found: Found,
    /// Why it was not read, where the policy lets pass what cannot be read.
    pub unread: Option<Unscannable>,
}

impl std::fmt::Debug for Reading {
    /// Bodies never appear in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = self.body.as_ref().map(Vec::len);
        f.debug_struct("Reading").field("body", &body).field("found", &self.found).field("unread", &self.unread).finish()
    }
}

/// What the headers say of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Representation {
    /// Every `Content-Type`.
    pub content_type: Vec<Vec<u8>>,
    /// Every `Content-Encoding`.
    pub content_encoding: Vec<Vec<u8>>,
    /// Whether it is what an answer says of an error: its status is 400 or above.
    pub of_error: bool,
}

impl Representation {
    /// What a head says.
    #[must_use]
    pub fn of(headers: &Headers<'_>) -> Self {
        let values = |name| headers.all(name).map(<[u8]>::to_vec).collect();
        let of_error = headers.all(":status").any(|status| matches!(status, [b'4'..=b'9', _, _]));
        Self { content_type: values("content-type"), content_encoding: values("content-encoding"), of_error }
    }

    /// Whether it is in a coding, and not as it stands.
    #[must_use]
    pub fn is_coded(&self) -> bool {
        !is_plain(self.content_encoding.iter().map(Vec::as_slice))
    }

    /// The same, for the content library.
    #[must_use]
    pub fn media(&self) -> Media<'_> {
        Media::of(self.content_type.iter().map(Vec::as_slice), self.content_encoding.iter().map(Vec::as_slice))
    }
}

/// A denial with the status that fits its side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub denial: Denial,
    /// The HTTP status.
    pub status: u16,
    /// What was found, if that is why.
    pub found: Box<Found>,
    /// Why the body could not be read, if that is why.
    pub unread: Option<Unscannable>,
}

impl Refusal {
    /// A denial at one side. What an upstream answered and cannot be read is no fault of the caller's: 502 (RFC 9110 section 15.6.3).
    #[must_use]
    pub fn new(side: Side, denial: Denial) -> Self {
        let status = match (side, denial.reason) {
            (Side::Response, Reason::Unreadable | Reason::TooLarge) => 502,
            _ => denial.status,
        };
        Self { denial, status, found: Box::default(), unread: None }
    }

    /// A denial of a body that could not be read.
    #[must_use]
    pub fn unread(side: Side, why: Unscannable) -> Self {
        Self { unread: Some(why), ..Self::new(side, why.into()) }
    }

    /// The same, because of what was found.
    #[must_use]
    pub fn because_of(self, found: Found) -> Self {
        Self { found: Box::new(found), ..self }
    }
}

/// Lets each reader read what the one before it left.
///
/// # Errors
/// The first refusal.
pub fn read(readers: &[Arc<dyn Reader>], representation: &Representation, body: &[u8], budget: &Budget<'_>) -> Result<Reading, Refusal> {
    let mut representation = representation.clone();
    let mut whole = Reading::default();
    for reader in readers {
        let reading = reader.read(&representation, whole.body.as_deref().unwrap_or(body), budget)?;
        if reading.body.is_some() {
            representation.content_encoding.clear();
            whole.body = reading.body;
        }
        whole.found.pii.extend(reading.found.pii);
        whole.found.topics.extend(reading.found.topics);
        whole.unread = whole.unread.or(reading.unread);
    }
    Ok(whole)
}
