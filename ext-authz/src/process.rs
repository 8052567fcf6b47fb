//! `envoy.service.ext_proc.v3.ExternalProcessor`: what is done with bodies that a policy has rewritten or read on their way. Envoy opens one
//! stream a request, after ext_authz and ratelimit, and sends one message at a time; each has exactly one answer.
//!
//! - [`message`] is what Envoy sends, [`told`] what its metadata says that Check decided.
//! - [`plan`] is who reads which body of this request: a list of [`Reader`](reader::Reader)s for each side, from the tenant's policy.
//! - [`exchange`] is the order of the messages, without any I/O: for each an answer, or a body to be read first.
//! - [`reader`] is whoever reads a body: keeps it, writes it anew, or denies. [`content`] reads for personal data and topics; MCP's filter of
//!   `tools/list` is another one; what was taken out of an MCP message is judged again ([`rewritten`]).
//! - [`events`] cuts event streams into whole events, which are read and go on as they come; every other body is read whole.
//! - [`answer`] puts it into Envoy's words; [`service`] moves messages, off the I/O threads where bodies are read, and in time.
//!
//! A stream that ends with gRPC OK before its messages are answered lets bodies through unread, whatever `failure_mode_allow` says (fact 3). So
//! every fault is answered with a denial, and a stream that cannot be read any more ends with an error status, never as if all were well.

pub mod answer;
pub mod answered;
pub mod as_shown;
pub mod content;
pub mod events;
pub mod exchange;
pub mod message;
pub mod plan;
pub mod reader;
pub mod rewritten;
pub mod service;
pub mod told;
pub mod tools;

/// Which body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The request's, on its way to the upstream.
    Request,
    /// The answer's, on its way to the caller.
    Response,
}

impl Side {
    /// The name in spans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}
