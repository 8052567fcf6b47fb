//! JSON-RPC 2.0 as MCP speaks it, read so that no server behind us reads the same bytes as another message. Members are exact: an
//! unknown one is refused, because `Method` is `method` to a parser that does not mind case (Go's), and `method\u0000` to one that stops
//! there. A member that stands twice is refused at any depth; so is a number that is rounded when it is read.

use serde_json::{Map, Value};

use crate::json;

/// Messages in one batch (MCP 2025-03-26; later revisions have none).
pub(super) const MAX_BATCH: usize = 64;
/// Bytes of an id.
const MAX_ID_BYTES: usize = 256;
/// From here on not every whole number is a double: a text `18446744073709551617` was rounded.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Members of an object.
pub(super) type Params = Map<String, Value>;

/// Why a body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) &'static str);

/// What one POST holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Posted {
    /// Its messages, at least one.
    pub(super) messages: Vec<Message>,
    /// Whether they came as a batch.
    pub(super) batch: bool,
}

/// One message of a client.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// It wants an answer.
    Request { method: String, params: Params },
    /// It wants none.
    Notification { method: String },
    /// It is the answer to a request of the server.
    Response,
}

/// Reads a body.
pub(super) fn read(bytes: &[u8]) -> Result<Posted, Unreadable> {
    let value = json::value(bytes).map_err(|_| Unreadable("the body is not JSON in UTF-8 with each member once"))?;
    exact(&value)?;
    match value {
        Value::Array(elements) if elements.is_empty() => Err(Unreadable("the batch is empty")),
        Value::Array(elements) if elements.len() > MAX_BATCH => Err(Unreadable("the batch has more than 64 messages")),
        Value::Array(elements) => {
            let messages = elements.into_iter().map(message).collect::<Result<_, _>>()?;
            Ok(Posted { messages, batch: true })
        }
        single => Ok(Posted { messages: vec![message(single)?], batch: false }),
    }
}

/// Refuses numbers that another parser reads as other numbers.
fn exact(value: &Value) -> Result<(), Unreadable> {
    match value {
        Value::Number(number) if number.is_f64() && number.as_f64().is_none_or(|number| number.abs() >= WHOLE) => {
            Err(Unreadable("a number is larger than can be read exactly"))
        }
        Value::Array(items) => items.iter().try_for_each(exact),
        Value::Object(members) => members.values().try_for_each(exact),
        _ => Ok(()),
    }
}

fn message(value: Value) -> Result<Message, Unreadable> {
    let Value::Object(mut members) = value else { return Err(Unreadable("a message is not an object")) };
    if members.remove("jsonrpc") != Some(Value::String("2.0".to_owned())) {
        return Err(Unreadable("`jsonrpc` is not \"2.0\""));
    }
    let id = members.remove("id").map(|id| is_id(&id)).transpose()?;
    let message = match members.remove("method") {
        Some(Value::String(method)) => {
            let params = match members.remove("params") {
                None => Params::new(),
                Some(Value::Object(params)) => params,
                Some(_) => return Err(Unreadable("`params` is not an object")),
            };
            // A server may do what a request asks also where it owes no answer: a request has an id, a notification has none.
            match (method.starts_with("notifications/"), id) {
                (false, Some(())) => Message::Request { method, params },
                (true, None) => Message::Notification { method },
                (false, None) => return Err(Unreadable("a request has no `id`")),
                (true, Some(())) => return Err(Unreadable("a notification has an `id`")),
            }
        }
        Some(_) => return Err(Unreadable("`method` is not a text")),
        None => match (id, members.remove("result"), members.remove("error")) {
            (Some(()), Some(Value::Object(_)), None) | (Some(()), None, Some(Value::Object(_))) => Message::Response,
            _ => return Err(Unreadable("neither a request nor a response with an `id`")),
        },
    };
    if members.is_empty() { Ok(message) } else { Err(Unreadable("a message has a member that JSON-RPC does not know")) }
}

fn is_id(id: &Value) -> Result<(), Unreadable> {
    match id {
        Value::String(text) if text.len() <= MAX_ID_BYTES => Ok(()),
        Value::Number(number) if !number.is_f64() => Ok(()),
        _ => Err(Unreadable("`id` is neither a short text nor a whole number")),
    }
}

/// What `tools/call` asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// The tool.
    pub(super) name: String,
    /// Its arguments; empty where there are none.
    pub(super) arguments: Params,
}

impl Call {
    /// Reads `params` of `tools/call`. What MCP 2026-07-28 adds for a call that goes on after the client was asked for input is known; a
    /// `task` (2025-11-25, experimental) is not, because its result is fetched by a method that names no tool.
    pub(super) fn of(mut params: Params) -> Result<Self, Unreadable> {
        let Some(Value::String(name)) = params.remove("name") else { return Err(Unreadable("`params.name` is not a text")) };
        let arguments = match params.remove("arguments") {
            None => Params::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(Unreadable("`params.arguments` is not an object")),
        };
        known(&params, &["_meta", "inputResponses", "requestState"])?;
        Ok(Self { name, arguments })
    }
}

/// Refuses `params` of `tools/list` that could make its answer come another way.
pub(super) fn list_params(params: &Params) -> Result<(), Unreadable> {
    known(params, &["_meta", "cursor"])
}

fn known(params: &Params, names: &[&str]) -> Result<(), Unreadable> {
    let all = params.keys().all(|name| names.contains(&name.as_str()));
    if all { Ok(()) } else { Err(Unreadable("`params` has a member that the method does not know")) }
}
