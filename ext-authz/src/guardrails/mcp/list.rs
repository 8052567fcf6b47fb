//! The answer to `tools/list`, with only the tools that its caller may use. What is not understood is refused: nothing passes because it
//! came in another shape.

use serde_json::{Map, Value};

use super::Shown;
use crate::{json, process::reader::Representation};

mod events;
#[cfg(test)]
mod tests;

/// Members of a result that go on beside `tools`: those that MCP knows.
const KNOWN: [&str; 5] = ["_meta", "cacheScope", "nextCursor", "resultType", "ttlMs"];

/// Members of a message that go on: those that JSON-RPC knows.
const MEMBERS: [&str; 6] = ["error", "id", "jsonrpc", "method", "params", "result"];
/// Members of an error that go on.
const ERROR: [&str; 3] = ["code", "data", "message"];

/// Why an answer goes no further: for the operator, and without a word of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unlisted(pub(super) &'static str);

/// The body with what may be seen of it.
///
/// # Errors
/// The answer is in no shape that MCP gives it.
pub fn filter(shown: &Shown, representation: &Representation, body: &[u8]) -> Result<Vec<u8>, Unlisted> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let essence = match representation.content_type.as_slice() {
        [one] => one.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase(),
        [] => Vec::new(),
        _ => return Err(Unlisted("an answer with several content types")),
    };
    match essence.as_slice() {
        // Frameworks tell their errors in JSON that is no message.
        b"application/json" => text(shown, body).or_else(|why| if representation.of_error { Ok(Vec::new()) } else { Err(why) }),
        b"text/event-stream" => events::filter(shown, body),
        // The status says what a client needs to know (404: the session is over); the text is for nobody's program.
        _ if representation.of_error => Ok(Vec::new()),
        _ => Err(Unlisted("an answer that is neither JSON nor an event stream")),
    }
}

/// One JSON text: a message or a batch.
fn text(shown: &Shown, bytes: &[u8]) -> Result<Vec<u8>, Unlisted> {
    let value = json::value(bytes).map_err(|_| Unlisted("an answer that is not JSON with each member once"))?;
    let seen = match value {
        Value::Array(messages) => Value::Array(messages.into_iter().map(|one| message(shown, one)).collect::<Result<_, _>>()?),
        single => message(shown, single)?,
    };
    serde_json::to_vec(&seen).map_err(|_| Unlisted("an answer that cannot be written anew"))
}

/// One message. Only a result can be a list of tools. What JSON-RPC does not know beside it is left out: a client that reads only `tools`, or `Result`, finds none.
fn message(shown: &Shown, value: Value) -> Result<Value, Unlisted> {
    let Value::Object(mut members) = value else { return Err(Unlisted("a message that is not an object")) };
    members.retain(|name, _| MEMBERS.contains(&name.as_str()));
    // Some libraries write both, and one of them as nothing.
    for name in ["error", "result"] {
        if members.get(name).is_some_and(Value::is_null) {
            members.remove(name);
        }
    }
    if members.get("id").is_some_and(|id| id.is_object() || id.is_array()) {
        return Err(Unlisted("a message whose id is no id"));
    }
    let seen = match (members.contains_key("method"), members.remove("error"), members.remove("result")) {
        // What a request is about is no answer: one to sample has `tools` of its own.
        (true, None, None) => None,
        (false, Some(Value::Object(error)), None) => Some(("error", self::error(error))),
        (false, None, Some(Value::Object(found))) => Some(("result", result(shown, found)?)),
        _ => return Err(Unlisted("a message that is not one of a request, a result and an error")),
    };
    if let Some((name, seen)) = seen {
        // What is a result or an error asks for nothing.
        members.remove("params");
        members.insert(name.to_owned(), Value::Object(seen));
    }
    Ok(Value::Object(members))
}

/// What an error says. Its `data` is the server's own, and no place for a list.
fn error(mut members: Map<String, Value>) -> Map<String, Value> {
    members.retain(|name, value| ERROR.contains(&name.as_str()) && !names_tools(value));
    members
}

/// Whether some member, at any depth, has a name that a client may take for `tools`: one that does not mind case, and some take ſ for an s.
fn names_tools(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| is_tools(name) || names_tools(value)),
        Value::Array(items) => items.iter().any(names_tools),
        _ => false,
    }
}

fn is_tools(name: &str) -> bool {
    name.to_uppercase().contains("TOOLS")
}

fn result(shown: &Shown, mut members: Map<String, Value>) -> Result<Map<String, Value>, Unlisted> {
    let tools = match members.remove("tools") {
        Some(Value::Array(tools)) => tools,
        Some(_) => return Err(Unlisted("`tools` that is not a list")),
        // Another request's of the same batch. A client that does not mind case must not find its tools there.
        None if !shown.every && !members.keys().any(|name| is_tools(name)) => return Ok(members),
        None => return Err(Unlisted("a result without `tools`")),
    };
    let mut seen = Map::new();
    seen.extend(members.into_iter().filter(|(name, _)| KNOWN.contains(&name.as_str())));
    // What one caller may see is not what the next may: nobody in between keeps it for both.
    if let Some(scope) = seen.get_mut("cacheScope") {
        *scope = Value::String("private".to_owned());
    }
    seen.insert("tools".to_owned(), Value::Array(permitted(shown, tools)?));
    Ok(seen)
}

fn permitted(shown: &Shown, tools: Vec<Value>) -> Result<Vec<Value>, Unlisted> {
    let mut seen = Vec::new();
    for tool in tools {
        let Some(Value::String(name)) = tool.get("name") else { return Err(Unlisted("a tool without a name")) };
        if shown.contains(name) {
            seen.push(tool);
        }
    }
    Ok(seen)
}
