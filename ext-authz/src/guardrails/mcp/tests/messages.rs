//! Bodies that two parsers read differently, and that therefore nobody gets to read.

use super::*;
use crate::guardrails::mcp::message::{Message, read};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}}"#;

#[test]
fn what_could_be_read_as_another_message_is_refused() {
    assert!(read(CALL.as_bytes()).is_ok());
    let with = |members: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{members}"params":{{"name":"a"}}}}"#);
    for body in [
        // A member twice: plainly, by an escape, deep inside.
        with(r#""method":"ping","#),
        with(r#""m\u0065thod":"ping","#),
        CALL.replace(r#""arguments":{}"#, r#""arguments":{"x":[{"y":1,"\u0079":2}]}"#),
        CALL.replace(r#""name":"a""#, r#""name":"a","name":"b""#),
        // A member that a lax parser takes for another.
        with(r#""Method":"ping","#),
        with(r#""METHOD":"ping","#),
        with(r#""method\u0000":"ping","#),
        with(r#""method ":"ping","#),
        with(r#""\uff4dethod":"ping","#),
        with(r#""Params":{"name":"b"},"#),
        with(r#""result":{},"#),
        with(r#""error":{},"#),
        with(r#""extra":1,"#),
        // Not what the members must be.
        CALL.replace("\"2.0\"", "2.0"),
        CALL.replace("\"2.0\"", "\"1.0\""),
        CALL.replace("\"jsonrpc\":\"2.0\",", ""),
        CALL.replace("\"tools/call\"", "[\"tools/call\"]"),
        CALL.replace("\"id\":1", "\"id\":null"),
        CALL.replace("\"id\":1", "\"id\":1.5"),
        CALL.replace("\"id\":1", "\"id\":1.0"),
        CALL.replace("\"id\":1", "\"id\":true"),
        CALL.replace("\"id\":1", "\"id\":{}"),
        CALL.replace("\"id\":1,", ""),
        CALL.replace(r#"{"name":"a","arguments":{}}"#, r#"["a"]"#),
        CALL.replace(r#"{"name":"a","arguments":{}}"#, "null"),
        r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"result":1}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1}"#.to_owned(),
        // Not JSON, or more than one.
        format!("{CALL}{CALL}"),
        format!("{CALL}x"),
        format!("{CALL}\u{0}"),
        format!("\u{feff}{CALL}"),
        CALL.replace("\"a\"", "'a'"),
        CALL.replace("\"a\"", "NaN"),
        CALL.replace("\"a\"", "\"\\ud800\""),
        CALL.replace("{}", "{/**/}"),
        CALL.replace("{}", "{},"),
        // Numbers that are read differently.
        CALL.replace("{}", r#"{"n":1e400}"#),
        CALL.replace("{}", r#"{"n":18446744073709551616}"#),
        CALL.replace("{}", r#"{"n":123456789012345678901234567890}"#),
        CALL.replace("{}", &format!("{{\"n\":{}}}", "9".repeat(400))),
        CALL.replace("{}", &format!("{{\"n\":{}1{}}}", "[".repeat(200), "]".repeat(200))),
        "1".to_owned(),
        "null".to_owned(),
        "\"tools/call\"".to_owned(),
        "[1]".to_owned(),
        "[null]".to_owned(),
        "[[]]".to_owned(),
        String::new(),
    ] {
        assert!(read(body.as_bytes()).is_err(), "{body}");
    }
    for bytes in [
        &b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\xffng\"}"[..],
        &CALL.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    ] {
        assert!(read(bytes).is_err());
    }
    assert!(read("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn a_call_has_the_members_that_are_known() {
    let of = |params: Value| message::Call::of(params.as_object().cloned().unwrap());
    assert_eq!(of(json!({ "name": "a" })).unwrap().arguments, message::Params::new());
    assert!(of(json!({ "name": "a", "_meta": {}, "requestState": "x", "inputResponses": {} })).is_ok());
    for params in [
        json!({}),
        json!({ "name": 1 }),
        json!({ "name": "a", "Name": "b" }),
        json!({ "name": "a", "arguments": null }),
        json!({ "name": "a", "arguments": [] }),
        json!({ "name": "a", "Arguments": {} }),
        json!({ "name": "a", "task": { "ttl": 1 } }),
    ] {
        assert!(of(params.clone()).is_err(), "{params}");
    }
}

fn arbitrary() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z/\\\\\"é]{0,8}".prop_map(Value::from),
        Just(json!("2.0")),
        Just(json!("tools/call")),
    ];
    let name = prop_oneof![
        Just("jsonrpc".to_owned()),
        Just("id".to_owned()),
        Just("method".to_owned()),
        Just("params".to_owned()),
        Just("name".to_owned()),
        Just("result".to_owned()),
        "[a-zA-Z]{0,4}",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(&bytes);
    }

    /// Whatever passes says to serde_json, written anew, what it said to us.
    #[test]
    fn what_passes_reads_the_same_elsewhere(value in arbitrary(), id in any::<u32>(), method in "[a-z/]{1,12}", enveloped in any::<bool>()) {
        let value = if enveloped { json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": value }) } else { value };
        let text = value.to_string();
        if let Ok(posted) = read(text.as_bytes()) {
            let plain: Value = serde_json::from_str(&text).unwrap();
            let plain = match plain { Value::Array(elements) => elements, one => vec![one] };
            prop_assert_eq!(plain.len(), posted.messages.len());
            for (plain, message) in plain.iter().zip(&posted.messages) {
                match message {
                    Message::Request { method, params } => {
                        prop_assert_eq!(plain["method"].as_str(), Some(method.as_str()));
                        prop_assert_eq!(plain.get("params").cloned().unwrap_or_else(|| json!({})), Value::Object(params.clone()));
                    }
                    Message::Notification { method } => prop_assert_eq!(plain["method"].as_str(), Some(method.as_str())),
                    Message::Response => prop_assert!(plain.get("method").is_none()),
                }
            }
        }
    }
}

/// Eight bytes make an object of some hundred: what is kept until the verdict is taken from the tenant's room before it is made.
#[tokio::test]
async fn s5_a_message_that_takes_more_memory_than_its_tenant_has_is_not_read() {
    let sent = |objects: usize| call("ledger", &json!({ "x": [] })).replace("[]", &format!("[{}1]", r#"{"a":1},"#.repeat(objects)));
    assert_eq!(post().send(&sent(10_000)).await, "allow");
    assert_eq!(post().send(&sent(400_000)).await, "503 unavailable");
    let (_, found) = post().full(sent(10_000).as_bytes()).await;
    assert_eq!(found.held.len(), 1, "until there is a verdict");
}
