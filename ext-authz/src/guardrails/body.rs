//! Whether a body can be read where a policy must read it (S14). What is read in it is another matter.

use bulkhead_tenancy::{
    api::{Api, Protocol},
    guardrail::{ContentFilter, PiiDetection},
};

use crate::{
    attributes::{Attributes, Body},
    verdict::{Denial, Reason},
};

/// Whether a policy reads the bodies of requests to an API.
#[must_use]
pub fn is_read(content: &ContentFilter, api: &Api) -> bool {
    api.protocol == Protocol::Mcp || (content.requests && (content.pii != PiiDetection::Off || !content.blocked.is_empty()))
}

/// Refuses a request whose body must be read and cannot be. `declared`: the operator says that Envoy buffers bodies on this route.
///
/// # Errors
/// `unavailable` where buffering is not declared, or where a body is signalled and not shown; `too_large` where it was cut.
pub fn readable(request: &Attributes, declared: bool) -> Result<(), Denial> {
    if !declared {
        return Err(Denial::new(
            Reason::Unavailable,
            "the policy reads bodies, and buffering is not declared (--body on, or bulkhead.body: on)",
        ));
    }
    let upgrade = request.method == "CONNECT" || request.headers.all("upgrade").next().is_some();
    if upgrade {
        return Err(Denial::new(Reason::Unavailable, "the policy reads bodies, which upgrades and CONNECT do not show"));
    }
    match request.body {
        Body::Absent | Body::Whole(_) => Ok(()),
        Body::Truncated => Err(Denial::new(Reason::TooLarge, "the policy reads bodies, and Envoy cut this one")),
        Body::Unseen => Err(Denial::new(Reason::Unavailable, "the policy reads bodies, and Envoy does not show the one that is signalled")),
    }
}
