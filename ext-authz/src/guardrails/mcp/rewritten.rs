//! A message that was judged, and rewritten since: personal data was taken out of it. What passes must be what would have passed.

use bulkhead_content::REDACTED;
use bulkhead_tenancy::{api::Api, policy::TenantPolicy, tool::schema::Misfit};
use serde_json::Value;

use super::{method, method::Kind};
use crate::{
    json,
    verdict::{Denial, Reason},
};

/// Judges what a rewritten body is to its server: whose answer belongs to which request, and whether arguments fit their tool.
///
/// # Errors
/// `unreadable` where an id was rewritten (its answer would find nobody who asked), or the tool's name (what it calls now was not judged). `tool` where arguments fit their schema no more, both 400.
pub fn judge(body: &[u8], policy: &TenantPolicy, api: &Api) -> Result<(), Denial> {
    let value = json::value(body).map_err(|_| unreadable("taking personal data out of the message would leave no message"))?;
    let messages = match &value {
        Value::Array(messages) => messages.as_slice(),
        single => std::slice::from_ref(single),
    };
    messages.iter().try_for_each(|message| fits(message, policy, api))
}

/// Judges what a rewritten answer is to its client: whose request it answers. In an event stream each line of data may be a message.
///
/// # Errors
/// `unreadable` where an id was rewritten: nobody would know the answer for theirs.
pub fn judge_answer(body: &[u8]) -> Result<(), Denial> {
    let whole = json::value(body).ok();
    let lines = body.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|_| whole.is_none());
    let data = lines.filter_map(|line| json::value(line.strip_prefix(b"data:")?.trim_ascii()).ok());
    for value in whole.iter().cloned().chain(data) {
        let messages = match &value {
            Value::Array(messages) => messages.as_slice(),
            single => std::slice::from_ref(single),
        };
        if messages.iter().any(|message| kept(message).any(is_redacted)) {
            return Err(unreadable("an id in the answer looks like personal data, and its request would not be found"));
        }
    }
    Ok(())
}

/// What tells which messages belong together.
fn kept(message: &Value) -> impl Iterator<Item = &Value> {
    let params = message.get("params");
    let told = |name| params.and_then(|params| params.get(name));
    let progress = told("_meta").and_then(|meta| meta.get("progressToken"));
    [message.get("id"), told("requestId"), told("progressToken"), progress].into_iter().flatten()
}

fn is_redacted(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains(REDACTED))
}

/// Whether a body of so many bytes is judged at once, whatever it is.
pub fn is_light(bytes: usize, policy: &TenantPolicy, api: &Api) -> bool {
    let mut schemas = policy.tools().filter(|tool| tool.api == api.name).filter_map(|tool| tool.input_schema.as_ref());
    bytes <= super::JUDGED_AT_ONCE && schemas.all(|schema| schema.is_light())
}

fn fits(message: &Value, policy: &TenantPolicy, api: &Api) -> Result<(), Denial> {
    let params = message.get("params");
    let told = |name| params.and_then(|params| params.get(name));
    let calls = message.get("method").and_then(Value::as_str).and_then(method::of_request) == Some(Kind::Call);
    let name = told("name").filter(|_| calls);
    if kept(message).chain(name).any(is_redacted) {
        return Err(unreadable("an id or the tool's name in the message looks like personal data, and cannot be taken out"));
    }
    let tool = name.and_then(Value::as_str).and_then(|name| policy.tool(&api.name, name));
    let Some(schema) = tool.and_then(|tool| tool.input_schema.as_ref()) else { return Ok(()) };
    let none = Value::Object(serde_json::Map::new());
    schema.fits(told("arguments").unwrap_or(&none)).map_err(|misfit| match misfit {
        Misfit::TooLarge => Denial::new(Reason::TooLarge, misfit.to_string()),
        Misfit::Schema | Misfit::Confusable => {
            Denial::new(Reason::Tool, "the arguments do not fit the tool's schema once personal data is taken out of them").with_status(400)
        }
    })
}

fn unreadable(detail: &'static str) -> Denial {
    Denial::new(Reason::Unreadable, detail)
}
