//! Personal data and blocked topics in a body on its way.

use std::sync::{Arc, LazyLock};

use bulkhead_content::{Budget, Detector, Filter, Redacted, Topics, Unscannable};
use bulkhead_tenancy::{
    guardrail::{ContentFilter, PiiDetection},
    policy::TenantPolicy,
};

use super::{
    Side,
    reader::{Reader, Reading, Refusal, Representation},
};
use crate::{
    offload::small::is_small,
    verdict::{Denial, Reason},
};

/// What Envoy holds of a body where nothing else is set up (`per_connection_buffer_limit_bytes`), and so the longest that one which came within it may become.
const ENVOYS_BUFFER: usize = 1 << 20;

/// Reads as the tenant's policy says.
pub struct OfPolicy {
    policy: Arc<TenantPolicy>,
    side: Side,
}

impl OfPolicy {
    /// The reader of one side, if the policy looks for something there.
    #[must_use]
    pub fn at(side: Side, policy: &Arc<TenantPolicy>) -> Option<Self> {
        let content = &policy.guardrails().content;
        let applies = match side {
            Side::Request => content.requests,
            Side::Response => content.responses,
        };
        (applies && !content.filter.is_empty()).then(|| Self { policy: Arc::clone(policy), side })
    }

    fn content(&self) -> &ContentFilter {
        &self.policy.guardrails().content
    }
}

impl Reader for OfPolicy {
    fn is_light(&self, representation: &Representation, bytes: usize) -> bool {
        is_small(&self.content().filter, representation.is_coded(), bytes)
    }

    fn read(&self, representation: &Representation, body: &[u8], budget: &Budget<'_>) -> Result<Reading, Refusal> {
        let content = self.content();
        let media = representation.media();
        let (media, arrived) = (if self.side == Side::Response { media.of_answer() } else { media }, body.len());
        let outcome = if content.pii == PiiDetection::Redact {
            content.filter.redact(&media, body, budget)
        } else {
            content.filter.scan(&media, body, budget).map(|found| Redacted { body: None, found })
        };
        let (body, found, unread) = match outcome {
            Ok(Redacted { body, found }) => (body, found, None),
            // What was read and cannot be rewritten holds personal data for certain.
            Err(why) if content.allow_unscannable && !why.is_ours() && why != Unscannable::Unrewritable => {
                (None, content.filter.glance(&media, body, budget).map_err(|why| Refusal::unread(self.side, why))?, Some(why))
            }
            Err(why) => return Err(Refusal::unread(self.side, why)),
        };
        if !found.topics.is_empty() {
            return Err(Refusal::new(self.side, Denial::new(Reason::Topic, "the body touches a blocked topic")).because_of(found));
        }
        // What shows and cannot be taken out is there for certain, as in what cannot be rewritten.
        if content.pii == PiiDetection::Redact && unread.is_some() && !found.pii.is_empty() {
            return Err(Refusal::unread(self.side, Unscannable::Unrewritable).because_of(found));
        }
        if content.pii == PiiDetection::Block && !found.pii.is_empty() {
            return Err(Refusal::new(self.side, Denial::new(Reason::Pii, "the body holds personal data")).because_of(found));
        }
        // Envoy would answer 413 or 500 in our place, and the record would say that it was rewritten.
        if body.as_ref().is_some_and(|new| new.len() > ENVOYS_BUFFER && arrived <= ENVOYS_BUFFER) {
            return Err(Refusal::unread(self.side, Unscannable::TooLarge).because_of(found));
        }
        Ok(Reading { body, found, unread })
    }
}

/// Takes out every kind of personal data: what is done besides where the policy that Check decided by is not at hand any more, so that nothing of
/// it is milder here (S14).
pub struct Everything {
    side: Side,
}

impl Everything {
    /// The reader of one side.
    #[must_use]
    pub fn at(side: Side) -> Self {
        Self { side }
    }
}

static EVERYTHING: LazyLock<Filter> = LazyLock::new(|| Filter::new(Detector::ALL.into(), Topics::default()));

impl Reader for Everything {
    fn is_light(&self, representation: &Representation, bytes: usize) -> bool {
        is_small(&EVERYTHING, representation.is_coded(), bytes)
    }

    fn read(&self, representation: &Representation, body: &[u8], budget: &Budget<'_>) -> Result<Reading, Refusal> {
        match EVERYTHING.redact(&representation.media(), body, budget) {
            Ok(Redacted { body, found }) => Ok(Reading { body, found, unread: None }),
            Err(why) => Err(Refusal::unread(self.side, why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, route};

    #[test]
    fn what_shows_in_a_body_that_cannot_be_read_and_is_to_be_taken_out_does_not_pass() {
        let spec = "contentFilter: { piiDetection: redact, unscannable: allow }";
        let snapshot = fixture::guarded(spec);
        let reader = OfPolicy::at(Side::Request, route::policy(snapshot.tenant("globex").unwrap()).unwrap()).unwrap();
        let image = Representation { content_type: vec![b"image/png".to_vec()], ..Representation::default() };
        let read = |body: &[u8]| reader.read(&image, body, &Budget::default());
        assert_eq!(read(b"\x89PNG").unwrap().unread, Some(Unscannable::Type));
        let coded = |coding: &[u8]| Representation { content_encoding: vec![coding.to_vec()], ..Representation::default() };
        assert!(reader.is_light(&coded(b"Identity"), 100) && reader.is_light(&coded(b""), 100) && !reader.is_light(&coded(b"gzip"), 100));
        let refused = read(b"\x89PNG a@example.com").unwrap_err();
        assert_eq!((refused.unread, refused.found.pii), (Some(Unscannable::Unrewritable), [Detector::Email].into()));
    }
}
