//! What clients and servers say over MCP.

use bulkhead_ext_authz::{
    guardrails::mcp::{Shown, foreign, list},
    process::reader::Representation,
};
use serde_json::{Map, Value};

/// A message that is read is the same to a parser that minds nothing: that takes the last of two members, and any case for any other.
pub(crate) fn message(data: &[u8]) {
    let Some(read) = foreign::messages(data) else { return };
    let value: Value = serde_json::from_slice(data).expect("what was read is JSON");
    let all = match value {
        Value::Array(all) => all,
        one => vec![one],
    };
    assert!((1..=64).contains(&all.len()) && all.len() == read.len(), "{} messages, {} read", all.len(), read.len());
    for (message, (method, tool)) in all.iter().zip(&read) {
        let members = message.as_object().expect("a message is an object");
        assert_eq!(lax(members, "jsonrpc"), [&Value::from("2.0")]);
        let methods: Vec<&str> = lax(members, "method").into_iter().filter_map(Value::as_str).collect();
        assert_eq!(methods, method.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(lax(members, "id").is_empty(), method.as_ref().is_some_and(|method| method.starts_with("notifications/")));
        if let Some(tool) = tool {
            let params = members.get("params").expect("a call has params");
            let members = params.as_object().expect("params are an object");
            assert_eq!(lax(members, "name"), [&Value::from(tool.as_str())]);
            let arguments = lax(members, "arguments").first().map_or_else(|| Value::Object(Map::new()), |arguments| (*arguments).clone());
            assert_eq!(foreign::arguments(params), Some(arguments));
        }
    }
}

/// The members that a parser may take for one of this name.
fn lax<'a>(members: &'a Map<String, Value>, name: &str) -> Vec<&'a Value> {
    let same = |member: &str| member.trim_matches(|char: char| !char.is_ascii_alphanumeric()).eq_ignore_ascii_case(name);
    members.iter().filter(|(member, _)| same(member)).map(|(_, value)| value).collect()
}

/// Of an answer only what may be seen goes on, in a form that is read again as what it is. The first byte says of what type it is.
pub(crate) fn listing(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let (events, every) = (kind & 1 == 1, kind & 2 == 0);
    let shown = Shown::new(every, ["one", "two"].map(str::to_owned));
    let content_type = if events { "text/event-stream" } else { "application/json" };
    let representation = Representation { content_type: vec![content_type.into()], ..Representation::default() };
    let Ok(seen) = list::filter(&shown, &representation, body) else { return };
    assert_eq!(list::filter(&shown, &representation, &seen).as_deref(), Ok(seen.as_slice()), "read again, nothing more is taken out");
    let text = std::str::from_utf8(&seen).expect("it is text");
    let messages: Vec<&str> = if events { text.lines().filter_map(|line| line.strip_prefix("data: ")).collect() } else { vec![text] };
    for message in messages.into_iter().filter(|message| !message.is_empty()) {
        let value: Value = serde_json::from_str(message).expect("each is JSON");
        let all = value.as_array().map_or_else(|| vec![&value], |all| all.iter().collect());
        for tool in all.iter().filter_map(|one| one["result"]["tools"].as_array()).flatten() {
            assert!(tool["name"] == "one" || tool["name"] == "two", "a tool that may not be seen");
        }
        assert!(
            !every || all.iter().all(|one| one.get("result").is_none_or(|result| result.get("tools").is_some())),
            "a result that is no list"
        );
    }
}
