//! What must be read again on its way, by ext_proc: only there can a body be rewritten (ext_authz cannot), and only there are answers seen.

use bulkhead_tenancy::guardrail::{ContentFilter, PiiDetection};

use super::{
    Asked,
    body::{self, is_stream},
};
use crate::{
    attributes::{Attributes, Body},
    verdict::{Denial, Process, Reason},
};

/// Which bodies a content filter needs ext_proc for: requests that it rewrites, and answers that it reads at all.
#[must_use]
pub fn needed(content: &ContentFilter) -> Process {
    let request = content.requests && content.pii == PiiDetection::Redact;
    let response = content.responses && !content.filter.is_empty();
    match (request, response) {
        (false, false) => Process::None,
        (true, false) => Process::Request,
        (false, true) => Process::Response,
        (true, true) => Process::Both,
    }
}

/// Whether ext_proc reads a request because Envoy may not have shown it as it is, and ext_proc is there to see its bytes.
#[must_use]
pub fn instead(content: &ContentFilter, asked: &Asked<'_>) -> Process {
    let doubtful = matches!(asked.request.body, Body::Doubtful(_));
    if body::is_read(content, asked.api) && doubtful && asked.declared.process { Process::Request } else { Process::None }
}

/// Refuses a request that needs ext_proc where nobody says that it stands in the chain, or that goes on after what is buffered (S14).
///
/// # Errors
/// `unavailable`.
pub fn declared(process: Process, request: &Attributes<'_>, declared: bool) -> Result<(), Denial> {
    if process == Process::None {
        return Ok(());
    }
    if !declared {
        return Err(Denial::new(
            Reason::Unavailable,
            "the policy has bodies rewritten or answers read, and ext_proc is not declared (--process on, or bulkhead.process: on)",
        ));
    }
    if is_stream(request.method, &request.headers) {
        return Err(Denial::new(Reason::Unavailable, "the policy reads bodies on their way, which upgrades, CONNECT and gRPC do not show"));
    }
    Ok(())
}
