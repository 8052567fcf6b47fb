//! What goes back to Envoy: for each kind of message its own kind of answer, or an immediate response, which ends the request.

use bulkhead_proto::pb::envoy::{
    config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
    extensions::filters::http::ext_proc::v3::{
        ProcessingMode,
        processing_mode::{BodySendMode, HeaderSendMode},
    },
    service::ext_proc::v3::{
        BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ImmediateResponse, ProcessingResponse,
        TrailersResponse, body_mutation::Mutation, processing_response::Response,
    },
    r#type::v3::HttpStatus,
};

use super::{Side, reader::Refusal};
use crate::{reply::problem, verdict::Process};

/// What an answer in parts or in another coding than ours would take from whoever reads it: parts can split what is looked for, and we decode few
/// codings. A server may ignore the first two, and then sends it whole (RFC 9110 section 14.2).
const UNWANTED: [&str; 3] = ["range", "if-range", "accept-encoding"];

/// What was computed of the body as it was, or speaks of how it was coded. `content-length` is set anew: Envoy answers 500 to one that does not fit.
const STALE: [&str; 7] = ["content-encoding", "etag", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"];

/// What else would not be true of an event stream that is written anew as it comes.
const STREAMED: [&str; 8] =
    ["content-length", "content-encoding", "etag", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"];

/// Lets the head of a request pass, and says which messages are to follow. Overrides can only be made here, and Envoy's own configuration reads
/// everything: an override that got lost costs time, not a body.
#[must_use]
pub fn request_headers(process: Process) -> ProcessingResponse {
    let mode = mode(process, BodySendMode::Buffered);
    let unwanted: &[&str] = if process.responses() { &UNWANTED } else { &[] };
    let head = CommonResponse { header_mutation: removal(unwanted), ..CommonResponse::default() };
    ProcessingResponse { mode_override: Some(mode), ..answer(Response::RequestHeaders(HeadersResponse { response: Some(head) })) }
}

/// Which messages follow, with the body of an answer that is read in this way.
fn mode(process: Process, response: BodySendMode) -> ProcessingMode {
    let read = |asked, how| if asked { how } else { BodySendMode::None };
    let sent = if process.responses() { HeaderSendMode::Send } else { HeaderSendMode::Skip };
    ProcessingMode {
        request_header_mode: HeaderSendMode::Default.into(),
        request_body_mode: read(process.requests(), BodySendMode::Buffered).into(),
        // A body that is owed and has no bytes ends with trailers alone, and behind one that is written anew they may hold digests of the old.
        request_trailer_mode: if process.requests() { HeaderSendMode::Send } else { HeaderSendMode::Skip }.into(),
        response_header_mode: sent.into(),
        response_body_mode: read(process.responses(), response).into(),
        response_trailer_mode: sent.into(),
    }
}

/// Lets the head of an event stream pass, and asks for its body in pieces. Where the override is lost, the body comes whole, as one piece.
#[must_use]
pub fn event_stream(process: Process) -> ProcessingResponse {
    let head = CommonResponse { header_mutation: removal(&STREAMED), ..CommonResponse::default() };
    let response = answer(Response::ResponseHeaders(HeadersResponse { response: Some(head) }));
    ProcessingResponse { mode_override: Some(mode(process, BodySendMode::Streamed)), ..response }
}

/// Puts this in the place of a piece of an event stream.
#[must_use]
pub fn piece(events: Vec<u8>) -> ProcessingResponse {
    let body_mutation = Some(BodyMutation { mutation: Some(Mutation::Body(events)) });
    answer(Response::ResponseBody(BodyResponse { response: Some(CommonResponse { body_mutation, ..CommonResponse::default() }) }))
}

/// Lets the head of an answer pass.
#[must_use]
pub fn response_headers() -> ProcessingResponse {
    answer(Response::ResponseHeaders(HeadersResponse { response: Some(CommonResponse::default()) }))
}

/// Lets a body pass, as it is or as it was written anew.
#[must_use]
pub fn body(side: Side, new: Option<Vec<u8>>) -> ProcessingResponse {
    let response = match new {
        None => CommonResponse::default(),
        Some(new) => CommonResponse {
            header_mutation: Some(HeaderMutation {
                set_headers: vec![overwrite("content-length", new.len().to_string())],
                remove_headers: STALE.map(str::to_owned).to_vec(),
            }),
            body_mutation: Some(BodyMutation { mutation: Some(Mutation::Body(new)) }),
            ..CommonResponse::default()
        },
    };
    let body = BodyResponse { response: Some(response) };
    answer(match side {
        Side::Request => Response::RequestBody(body),
        Side::Response => Response::ResponseBody(body),
    })
}

/// Lets trailers pass; behind a body that was written anew without what was computed of the old one (RFC 9530: digests may stand there).
#[must_use]
pub fn trailers(side: Side, rewritten: bool) -> ProcessingResponse {
    let passed = TrailersResponse { header_mutation: removal(if rewritten { &STALE } else { &[] }) };
    answer(match side {
        Side::Request => Response::RequestTrailers(passed),
        Side::Response => Response::ResponseTrailers(passed),
    })
}

/// Ends the request with a problem body: nothing of it goes further.
#[must_use]
pub fn denial(side: Side, refusal: &Refusal, decision_id: &str) -> ProcessingResponse {
    let headers = problem::headers(&refusal.denial).into_iter().map(|(name, value)| overwrite(name, value)).collect();
    answer(Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(refusal.status) }),
        headers: Some(HeaderMutation { set_headers: headers, ..HeaderMutation::default() }),
        body: problem::at(side, refusal.denial.reason, refusal.status, decision_id).into_bytes(),
        details: format!("bulkhead_{}", refusal.denial.reason.name()),
        ..ImmediateResponse::default()
    }))
}

fn answer(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

fn removal(names: &[&str]) -> Option<HeaderMutation> {
    let remove_headers: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    (!remove_headers.is_empty()).then(|| HeaderMutation { remove_headers, ..HeaderMutation::default() })
}

/// A header in place of every one of that name. ext_proc reads raw values.
fn overwrite(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), raw_value: value.into_bytes(), ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}
