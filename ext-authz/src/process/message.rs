//! What Envoy sends in a stream, taken out of a `ProcessingRequest`.

use std::collections::HashMap;

use bulkhead_proto::pb::{
    envoy::{
        extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
        service::ext_proc::v3::{HttpHeaders, ProcessingRequest, ProtocolConfiguration, processing_request::Request},
    },
    google::protobuf::{Struct, value::Kind},
};

use crate::attributes::Headers;

/// One message.
#[derive(Clone)]
pub enum Message {
    /// The head of the request: the first message of a stream.
    RequestHeaders(Head),
    /// The whole body of the request.
    RequestBody(Vec<u8>),
    /// What follows the request's body.
    RequestTrailers,
    /// The head of the answer; of a reply that Envoy makes itself before a request comes here it is the first message of a stream.
    ResponseHeaders(Head),
    /// The whole body of the answer, or of an event stream a piece, and whether it is the last.
    ResponseBody(Vec<u8>, bool),
    /// What follows the answer's body.
    ResponseTrailers,
    /// Nothing that we know: an Envoy newer than we are.
    Unknown,
}

/// The head of a request or an answer.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Every header, pseudo headers among them.
    pub headers: Headers<'static>,
    /// Whether no body follows.
    pub ends: bool,
    /// What Envoy says of where an answer is from (`response.code_details`), where it is asked for.
    pub details: Option<String>,
}

/// Envoy's word for an answer that an upstream gave; every other is for a reason of Envoy's own to answer.
const VIA_UPSTREAM: &str = "via_upstream";

/// What Envoy's router writes into every answer of an upstream before a filter sees it (unless `suppress_envoy_headers`), and into none of Envoy's own.
const UPSTREAM_TIME: &str = "x-envoy-upstream-service-time";

/// The attribute that tells where an answer is from. `response_attributes` of the filter asks for it.
const DETAILS: &str = "response.code_details";

impl Message {
    /// Takes the message out of what Envoy sends.
    #[must_use]
    pub fn of(ProcessingRequest { request, attributes, .. }: ProcessingRequest) -> Self {
        match request {
            Some(Request::RequestHeaders(head)) => Self::RequestHeaders(Head::of(&head)),
            Some(Request::RequestBody(body)) => Self::RequestBody(body.body),
            Some(Request::RequestTrailers(_)) => Self::RequestTrailers,
            Some(Request::ResponseHeaders(head)) => Self::ResponseHeaders(Head { details: details(&attributes), ..Head::of(&head) }),
            Some(Request::ResponseBody(body)) => Self::ResponseBody(body.body, body.end_of_stream),
            Some(Request::ResponseTrailers(_)) => Self::ResponseTrailers,
            None => Self::Unknown,
        }
    }

    /// The name, for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RequestHeaders(_) => "request_headers",
            Self::RequestBody(_) => "request_body",
            Self::RequestTrailers => "request_trailers",
            Self::ResponseHeaders(_) => "response_headers",
            Self::ResponseBody(..) => "response_body",
            Self::ResponseTrailers => "response_trailers",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Debug for Message {
    /// Bodies never appear in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Head {
    fn of(head: &HttpHeaders) -> Self {
        Self { headers: head.headers.as_ref().map(Headers::listed).unwrap_or_default(), ends: head.end_of_stream, details: None }
    }

    /// Whether an answer is Envoy's own: an error that no upstream gave. Where Envoy is not asked where an answer is from, a header of its router tells.
    #[must_use]
    pub fn is_envoys(&self) -> bool {
        let upstreams = match &self.details {
            Some(details) => details == VIA_UPSTREAM,
            None => self.headers.all(UPSTREAM_TIME).next().is_some(),
        };
        self.status() >= 400 && !upstreams
    }

    /// The first value of a (pseudo) header, if it is text.
    #[must_use]
    pub fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers.all(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The status of an answer; of what has none 200, which is read.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.text(":status").and_then(|status| status.parse().ok()).unwrap_or(200)
    }

    /// The media type without its parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> String {
        let whole = self.text("content-type").unwrap_or_default();
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// The filter's own attributes are under its name, whatever that is. An answer of an upstream is one whoever says so.
fn details(attributes: &HashMap<String, Struct>) -> Option<String> {
    let told = attributes.values().filter_map(|told| match told.fields.get(DETAILS)?.kind.as_ref()? {
        Kind::StringValue(details) if !details.is_empty() => Some(details.clone()),
        _ => None,
    });
    told.max_by_key(|details| details == VIA_UPSTREAM)
}

/// Whether the filter that sends is set up so that bodies arrive whole. Envoy says so in the first message of a stream, before any override of ours:
/// if ours were refused (`allow_mode_override`), this is what holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffering {
    /// Bodies of requests.
    pub request: bool,
    /// Bodies of answers.
    pub response: bool,
}

impl Buffering {
    /// What the first message of a stream says; nothing said is no buffering, and so is a filter that does not wait for answers.
    #[must_use]
    pub fn of(first: &ProcessingRequest) -> Self {
        let Some(ProtocolConfiguration { request_body_mode, response_body_mode, .. }) = first.protocol_config else {
            return Self::default();
        };
        let whole = |mode| mode == i32::from(BodySendMode::Buffered) && !first.observability_mode;
        Self { request: whole(request_body_mode), response: whole(response_body_mode) }
    }
}
