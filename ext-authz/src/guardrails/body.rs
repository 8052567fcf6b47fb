//! Whether a body can be read where a policy must read it (S14). What is read in it is another matter.

use bulkhead_tenancy::{
    api::{Api, Protocol},
    guardrail::ContentFilter,
};

use crate::{
    attributes::{Attributes, Body, Headers},
    verdict::{Denial, Reason},
};

/// Whether a policy reads the bodies of requests to an API.
#[must_use]
pub fn is_read(content: &ContentFilter, api: &Api) -> bool {
    api.protocol == Protocol::Mcp || (content.requests && !content.filter.is_empty())
}

/// Refuses a request whose body must be read and cannot be. `declared`: the operator says that Envoy buffers bodies on this route.
///
/// # Errors
/// `unavailable` where buffering is not declared, or where a body is signalled and not shown; `too_large` where it was cut.
pub fn readable(request: &Attributes<'_>, declared: bool) -> Result<(), Denial> {
    if !declared {
        return Err(Denial::new(
            Reason::Unavailable,
            "the policy reads bodies, and buffering is not declared (--body on, or bulkhead.body: on)",
        ));
    }
    if is_stream(request.method, &request.headers) {
        return Err(Denial::new(Reason::Unavailable, "the policy reads bodies, which upgrades, CONNECT and gRPC do not show"));
    }
    // As for answers: what is looked for may be cut in two (RFC 9110 section 14.5; the uploads of tus).
    if request.body != Body::Absent && ["content-range", "upload-offset"].iter().any(|name| request.headers.all(name).next().is_some()) {
        return Err(Denial::new(Reason::Unreadable, "the request sends a part of a body, and what is looked for may be cut in two"));
    }
    match request.body {
        Body::Absent | Body::Whole(_) | Body::Doubtful(_) => Ok(()),
        Body::Truncated => Err(Denial::new(Reason::TooLarge, "the policy reads bodies, and Envoy cut this one")),
        Body::Unseen => Err(Denial::new(Reason::Unavailable, "the policy reads bodies, and Envoy does not show the one that is signalled")),
    }
}

/// What goes on after the part that is buffered: upgrades (also HTTP/2's extended CONNECT), tunnels, and gRPC, of which nobody sees from
/// outside whether it streams.
pub(crate) fn is_stream(method: &str, headers: &Headers<'_>) -> bool {
    let is_grpc = |value: &[u8]| value.trim_ascii_start().to_ascii_lowercase().starts_with(b"application/grpc");
    let upgrade = headers.all("upgrade").chain(headers.all(":protocol")).next().is_some();
    method == "CONNECT" || upgrade || headers.all("content-type").any(is_grpc)
}
