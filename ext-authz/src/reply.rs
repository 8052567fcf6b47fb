//! Step 5: the decision in Envoy's words.
//!
//! `CheckResponse::default()` ALLOWS (its status is 0, which is OK), and so does OK with a denied response. So a response can only come
//! out of a [`Reply`], and a reply only out of two constructors that set the status and the response that belongs to it. Neither makes
//! an `error_response`, which would honour Envoy's `failure_mode_allow`.

use bulkhead_proto::pb::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
        service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse},
        r#type::v3::HttpStatus,
    },
    google::rpc::{Code, Status},
};

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

pub use metadata::metadata;

/// An answer that Envoy cannot take for another.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(CheckResponse);

impl Reply {
    /// The answer that a decision asks for. `arrived` are the request's headers: what looks like one of ours is removed (S8).
    #[must_use]
    pub fn to(decision: &Decision, arrived: &Headers) -> Self {
        match &decision.verdict.outcome {
            Ok(allowed) => Self::allow(decision, allowed, arrived),
            Err(denial) => Self::deny(decision, denial, arrived),
        }
    }

    /// Status OK, with an OK response.
    fn allow(decision: &Decision, allowed: &Allowed, arrived: &Headers) -> Self {
        let set = headers::set(decision, allowed);
        let headers_to_remove = headers::removed(&set, allowed.obligations.forward_credentials, arrived);
        let headers = set.into_iter().map(|(name, value)| overwrite(name, value)).collect();
        let told = decision.verdict.charged.iter().flat_map(Charged::told);
        let response_headers_to_add = told.map(|(name, value)| option(name, value, HeaderAppendAction::AppendIfExistsOrAdd)).collect();
        let ok = OkHttpResponse { headers, headers_to_remove, response_headers_to_add, ..OkHttpResponse::default() };
        Self::assemble(Code::Ok, HttpResponse::OkResponse(ok), decision)
    }

    /// A status that is not OK, with a denied response.
    fn deny(decision: &Decision, denial: &Denial, arrived: &Headers) -> Self {
        let over = decision.verdict.charged.as_ref().filter(|_| denial.reason == Reason::OverLimit);
        let (headers, body) = match over.and_then(|charged| charged.told_over(&decision.id)) {
            Some((headers, body)) => (limited::headers(headers, arrived), body),
            None => (problem::headers(denial), problem::body(denial, &decision.id)),
        };
        let headers = headers.into_iter().map(|(name, value)| overwrite(name, value)).collect();
        let denied = DeniedHttpResponse { status: Some(HttpStatus { code: i32::from(denial.status) }), headers, body };
        Self::assemble(Code::PermissionDenied, HttpResponse::DeniedResponse(denied), decision)
    }

    fn assemble(code: Code, response: HttpResponse, decision: &Decision) -> Self {
        Self(CheckResponse {
            status: Some(Status { code: code.into(), ..Status::default() }),
            dynamic_metadata: Some(metadata(decision)),
            http_response: Some(response),
        })
    }

    /// What goes to Envoy.
    #[must_use]
    pub fn into_response(self) -> CheckResponse {
        self.0
    }
}

/// A header in place of every one of that name: never appended (`evil,acme`).
fn overwrite(name: &str, value: String) -> HeaderValueOption {
    option(name, value, HeaderAppendAction::OverwriteIfExistsOrAdd)
}

fn option(name: &str, value: String, append_action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, ..HeaderValue::default() }),
        append_action: append_action.into(),
        ..HeaderValueOption::default()
    }
}
