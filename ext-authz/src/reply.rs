//! Step 5: the decision in Envoy's words.
//!
//! `CheckResponse::default()` ALLOWS (its status is 0, which is OK), and so does OK with a denied response. So a response can only come
//! out of a [`Reply`], and a reply only out of two constructors that set the status and the response that belongs to it. Neither makes
//! an `error_response`, which would honour Envoy's `failure_mode_allow`.

use bulkhead_doors::grpc::Sayable;
use bulkhead_proto::{
    pb::{
        envoy::{config::core::v3::header_value_option::HeaderAppendAction, service::auth::v3::CheckResponse},
        google::rpc::Code,
    },
    wire::Written,
};
use prost::{DecodeError, Message as _};

use crate::{
    attributes::Headers,
    limits::Charged,
    verdict::{Allowed, Decision, Denial, Reason},
};

pub(crate) mod claim;
mod headers;
mod limited;
mod metadata;
pub(crate) mod problem;
#[cfg(test)]
mod tests;

/// An answer that Envoy cannot take for another, as Envoy reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Written);

/// Room for an answer: most have 800 bytes.
const ROOM: usize = 1024;

impl Reply {
    /// The answer that a decision asks for. `arrived` are the request's headers: what looks like one of ours is removed (S8).
    #[must_use]
    pub fn to(decision: &Decision, arrived: &Headers<'_>) -> Self {
        match &decision.verdict.outcome {
            Ok(allowed) => Self::allow(decision, allowed, arrived),
            Err(denial) => Self::deny(decision, denial, arrived),
        }
    }

    /// Status OK, with an OK response (`OkHttpResponse`: 2 headers, 5 headers_to_remove, 6 response_headers_to_add).
    fn allow(decision: &Decision, allowed: &Allowed, arrived: &Headers<'_>) -> Self {
        let ours = headers::Headers::of(decision, allowed);
        let told = decision.verdict.charged.iter().flat_map(Charged::told);
        Self::assemble(Code::Ok, decision, |reply| {
            reply.message(3, |ok| {
                ours.set().for_each(|(name, value)| header(ok, 2, name, value, HeaderAppendAction::OverwriteIfExistsOrAdd));
                ours.removed(arrived).for_each(|name| ok.text(5, name));
                told.for_each(|(name, value)| header(ok, 6, name, &value, HeaderAppendAction::AppendIfExistsOrAdd));
            });
        })
    }

    /// A status that is not OK, with a denied response (`DeniedHttpResponse`: 1 status, 2 headers, 3 body).
    fn deny(decision: &Decision, denial: &Denial, arrived: &Headers<'_>) -> Self {
        let over = decision.verdict.charged.as_ref().filter(|_| denial.reason == Reason::OverLimit);
        let (headers, body) = match over.and_then(|charged| charged.told_over(&decision.id)) {
            Some((headers, body)) => (limited::headers(headers, arrived), body),
            None => (problem::headers(denial), problem::body(denial, &decision.id)),
        };
        Self::assemble(Code::PermissionDenied, decision, |reply| {
            reply.message(2, |denied| {
                denied.message(1, |status| status.number(1, denial.status));
                // In place of every one of that name, never appended (`evil,acme`).
                headers.iter().for_each(|(name, value)| header(denied, 2, name, value, HeaderAppendAction::OverwriteIfExistsOrAdd));
                denied.text(3, &body);
            });
        })
    }

    /// A `CheckResponse`: 1 status, 2 denied_response or 3 ok_response, 4 dynamic_metadata.
    fn assemble(code: Code, decision: &Decision, response: impl FnOnce(&mut Written)) -> Self {
        let mut reply = Written::with_room(ROOM);
        reply.message(1, |status| status.number(1, code as u32));
        response(&mut reply);
        reply.message(4, |fields| metadata::write(decision, fields));
        Self(reply)
    }

    /// What Envoy reads in it.
    ///
    /// # Errors
    /// Never: it was written as what it is read as.
    pub fn read(&self) -> Result<CheckResponse, DecodeError> {
        CheckResponse::decode(self.0.as_bytes())
    }
}

impl Sayable for Reply {
    fn length(&self) -> usize {
        self.0.as_bytes().len()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.0.as_bytes());
    }
}

/// A `HeaderValueOption`: 1 header (1 key, 2 value), 3 append_action.
fn header(of: &mut Written, field: u32, name: &str, value: &str, action: HeaderAppendAction) {
    of.message(field, |option| {
        option.message(1, |header| {
            header.text(1, name);
            header.text(2, value);
        });
        option.number(3, action as u32);
    });
}
