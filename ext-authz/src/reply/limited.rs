//! A 429 of a limit, as a caller of Envoy's rate limit filter has it.

use bulkhead_ratelimit::answer;

use crate::attributes::Headers;

/// What that filter adds: other Envoys on the way then do not try again.
const RATELIMITED: &str = "x-envoy-ratelimited";

/// RESOURCE_EXHAUSTED, where Envoy would make UNAVAILABLE of a 429: what may be tried again at once.
const RESOURCE_EXHAUSTED: &str = "8";

/// The headers: those of the limiter, and what the filter adds to them.
pub(super) fn headers(told: answer::Headers, arrived: &Headers<'_>) -> answer::Headers {
    let of_grpc = arrived.all("content-type").any(is_grpc).then(|| ("grpc-status", RESOURCE_EXHAUSTED.to_owned()));
    told.into_iter().chain([(RATELIMITED, "true".to_owned())]).chain(of_grpc).collect()
}

/// `application/grpc`, or with a format: `application/grpc+proto`.
fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}
