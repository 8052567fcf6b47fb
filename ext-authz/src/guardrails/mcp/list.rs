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
        b"application/json" => text(shown, body),
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

/// One message. Only a result can be a list of tools.
fn message(shown: &Shown, value: Value) -> Result<Value, Unlisted> {
    let Value::Object(mut members) = value else { return Err(Unlisted("a message that is not an object")) };
    match (members.contains_key("method"), members.contains_key("error"), members.remove("result")) {
        (true, false, None) | (false, true, None) => Ok(Value::Object(members)),
        (false, false, Some(Value::Object(found))) => {
            members.insert("result".to_owned(), Value::Object(result(shown, found)?));
            Ok(Value::Object(members))
        }
        _ => Err(Unlisted("a message that is not one of a request, a result and an error")),
    }
}

fn result(shown: &Shown, mut members: Map<String, Value>) -> Result<Map<String, Value>, Unlisted> {
    let tools = match members.remove("tools") {
        Some(Value::Array(tools)) => tools,
        Some(_) => return Err(Unlisted("`tools` that is not a list")),
        // Another request's of the same batch. A client that does not mind case must not find its tools there; some take ſ for an s.
        None if !shown.every && !members.keys().any(|name| name.to_uppercase().contains("TOOLS")) => return Ok(members),
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
