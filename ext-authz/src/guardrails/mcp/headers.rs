//! What the headers of an MCP request say. A server may believe a header where we judged the body, so what they say must be the same.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bulkhead_content::is_plain;
use serde_json::Value;

use super::{
    coding::Coding,
    message::{Message, Posted},
};
use crate::{
    attributes::{Attributes, understood_as},
    verdict::{Denial, Reason},
};

/// The revisions of MCP whose meaning is known.
const REVISIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
/// Headers that are judged, as they are spelled: a server that takes `_` for `-` (CGI's way) would go by one that was not.
const JUDGED: [&str; 5] = ["last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id"];
/// Bytes of a session's id.
const MAX_SESSION_BYTES: usize = 1024;

/// Judges what is the same for all methods.
pub(super) fn judge(request: &Attributes<'_>) -> Result<(), Denial> {
    if request.headers.overriding_the_method().next().is_some() {
        return Err(unreadable("a header asks for another method than the request's"));
    }
    if request.headers.names().any(|name| JUDGED.iter().any(|ours| name != *ours && understood_as(name, ours))) {
        return Err(unreadable("a header of MCP is spelled as only some servers read it"));
    }
    if let Some(revision) = one(request, "mcp-protocol-version")?
        && !REVISIONS.iter().any(|known| known.as_bytes() == revision)
    {
        return Err(unreadable("MCP-Protocol-Version names no revision that is known"));
    }
    if let Some(session) = one(request, "mcp-session-id")?
        && (session.is_empty() || session.len() > MAX_SESSION_BYTES || !session.iter().all(u8::is_ascii_graphic))
    {
        return Err(unreadable("Mcp-Session-Id is not visible ASCII"));
    }
    match one(request, "last-event-id")? {
        None => Ok(()),
        Some(id) if request.method == "GET" && (1..=MAX_SESSION_BYTES).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic) => Ok(()),
        Some(_) => Err(unreadable("Last-Event-ID is not visible ASCII, or not of a GET, which alone resumes a stream")),
    }
}

/// Refuses what is not JSON, and gives the coding that it came in: one, because two on top of each other may be undone in part.
pub(super) fn judge_representation(request: &Attributes<'_>) -> Result<Option<Coding>, Denial> {
    let unsupported = |detail| unreadable(detail).with_status(415);
    if !one(request, "content-type")?.is_some_and(is_json) {
        return Err(unsupported("the content type of a message is application/json"));
    }
    if is_plain(request.headers.all("content-encoding")) {
        return Ok(None);
    }
    let named = one(request, "content-encoding").map_err(|_| unsupported("a message has one content encoding at the most"))?;
    match named.map(<[u8]>::to_ascii_lowercase) {
        None => Ok(None),
        Some(name) => Coding::named(&name)
            .map(Some)
            .ok_or_else(|| unsupported("the content encoding of a message is gzip, zstd, br or deflate, or none")),
    }
}

/// `application/json`, and UTF-8 where it says more.
fn is_json(content_type: &[u8]) -> bool {
    let text = content_type.to_ascii_lowercase();
    let mut parts = text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    parts.next() == Some(b"application/json") && parts.all(|part| part == b"charset=utf-8" || part == br#"charset="utf-8""#)
}

/// Refuses headers that name another method or tool than the body (MCP 2026-07-28, "Server Validation").
pub(super) fn agree(request: &Attributes<'_>, posted: &Posted) -> Result<(), Denial> {
    let (method, name) = (one(request, "mcp-method")?, one(request, "mcp-name")?);
    let (of_body, named) = match posted.messages.as_slice() {
        [Message::Request { method, params }] if !posted.batch => {
            let member = match method.as_str() {
                "tools/call" | "prompts/get" => Some("name"),
                "resources/read" => Some("uri"),
                _ => None,
            };
            (Some(method), member.and_then(|member| params.get(member)).and_then(Value::as_str))
        }
        [Message::Notification { method }] if !posted.batch => (Some(method), None),
        _ => (None, None),
    };
    let same_method = method.is_none_or(|header| of_body.is_some_and(|body| body.as_bytes() == header));
    let same_name = name.is_none_or(|header| named.is_some_and(|body| decoded(header).is_some_and(|header| header == body.as_bytes())));
    if same_method && same_name { Ok(()) } else { Err(unreadable("Mcp-Method or Mcp-Name says otherwise than the body")) }
}

/// A value, out of `=?base64?...?=` where it stands in that.
fn decoded(header: &[u8]) -> Option<Vec<u8>> {
    match header.strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?=")) {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(header.to_vec()),
    }
}

/// The one value of a header. Of two, one server takes the first and another the last.
fn one<'a>(request: &'a Attributes<'_>, name: &'a str) -> Result<Option<&'a [u8]>, Denial> {
    let mut values = request.headers.all(name);
    let first = values.next();
    if values.next().is_some() { Err(unreadable("a header of MCP stands twice")) } else { Ok(first) }
}

fn unreadable(detail: &'static str) -> Denial {
    Denial::new(Reason::Unreadable, detail)
}
