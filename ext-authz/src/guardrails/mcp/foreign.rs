//! What strangers write over MCP, read exactly as in service: the doors that fuzzing knocks at. Nothing here decides anything.

use serde_json::Value;

use super::{
    message::{self, Call, Message},
    method::{self, Kind},
};

/// What each message of a body does: its method, and of `tools/call` the tool that it names. Absent where the body is refused; what has neither
/// method nor tool is an answer.
#[must_use]
pub fn messages(bytes: &[u8]) -> Option<Vec<(Option<String>, Option<String>)>> {
    let done = |message| match message {
        Message::Request { method, params } if method::of_request(&method) == Some(Kind::Call) => {
            Call::of(params).ok().map(|call| (Some(method), Some(call.name)))
        }
        Message::Request { method, params } if method::of_request(&method) == Some(Kind::List) => {
            message::list_params(&params).ok().map(|()| (Some(method), None::<String>))
        }
        Message::Request { method, .. } | Message::Notification { method } => Some((Some(method), None)),
        Message::Response => Some((None, None)),
    };
    message::read(bytes).ok()?.messages.into_iter().map(done).collect()
}

/// The arguments of a call, as they are judged.
#[must_use]
pub fn arguments(params: &Value) -> Option<Value> {
    Call::of(params.as_object()?.clone()).ok().map(|call| Value::Object(call.arguments))
}
