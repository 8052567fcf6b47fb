use proptest::prelude::*;
use serde_json::json;

use super::*;

fn shown() -> Shown {
    "list one two".parse().unwrap()
}

fn of(content_type: &str) -> Representation {
    Representation { content_type: vec![content_type.as_bytes().to_vec()], ..Representation::default() }
}

fn tools(names: &[&str]) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": names.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect::<Vec<_>>() } })
}

fn as_json(shown: &Shown, body: &Value) -> Result<Value, Unlisted> {
    filter(shown, &of("application/json; charset=utf-8"), body.to_string().as_bytes()).map(|seen| serde_json::from_slice(&seen).unwrap())
}

fn as_events(body: &str) -> Result<String, Unlisted> {
    filter(&shown(), &of("text/event-stream"), body.as_bytes()).map(|seen| String::from_utf8(seen).unwrap())
}

#[test]
fn only_what_may_be_used_is_seen() {
    assert_eq!(as_json(&shown(), &tools(&["one", "secret", "two"])), Ok(tools(&["one", "two"])));
    assert_eq!(as_json(&shown(), &tools(&["secret", "One", "one "])), Ok(tools(&[])));
    assert_eq!(as_json(&shown(), &json!([tools(&["secret"]), tools(&["one"])])), Ok(json!([tools(&[]), tools(&["one"])])));
    let more = json!({ "jsonrpc": "2.0", "id": 1, "result": {
        "tools": [{ "name": "secret" }], "nextCursor": "x", "cacheScope": "public", "allTools": [{ "name": "secret" }] } });
    let less = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [], "nextCursor": "x", "cacheScope": "private" } });
    assert_eq!(as_json(&shown(), &more), Ok(less));
}

#[test]
fn errors_and_what_the_server_says_besides_pass() {
    for message in [
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -1, "message": "no" } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }),
    ] {
        assert_eq!(as_json(&shown(), &message), Ok(message));
    }
    assert_eq!(filter(&shown(), &Representation::default(), b""), Ok(Vec::new()));
    // An answer about an error, in words: they are dropped, the status stays.
    let error = Representation { of_error: true, ..of("text/plain") };
    assert_eq!(filter(&shown(), &error, b"{\"result\":{\"tools\":[{\"name\":\"secret\"}]}}"), Ok(Vec::new()));
}

#[test]
fn what_is_in_no_shape_of_mcp_is_refused() {
    let result = |result: Value| json!({ "jsonrpc": "2.0", "id": 1, "result": result });
    for message in [
        result(json!({})),
        result(json!({ "items": [{ "name": "secret" }] })),
        result(json!({ "Tools": [{ "name": "secret" }] })),
        result(json!({ "tools": { "secret": {} } })),
        result(json!({ "tools": "secret" })),
        result(json!({ "tools": ["secret"] })),
        result(json!({ "tools": [{ "Name": "secret" }] })),
        result(json!({ "tools": [{ "name": ["secret"] }] })),
        result(json!([{ "name": "secret" }])),
        result(json!(null)),
        json!({ "jsonrpc": "2.0", "id": 1 }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "result": { "tools": [] } }),
        json!({ "jsonrpc": "2.0", "id": 1, "error": {}, "result": { "tools": [] } }),
        json!([[tools(&["secret"])]]),
        json!("secret"),
    ] {
        assert!(as_json(&shown(), &message).is_err(), "{message}");
    }
    let twice = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"result":{"tools":[{"name":"secret"}]}}"#;
    assert!(filter(&shown(), &of("application/json"), twice).is_err());
    for content_type in ["text/html", "text/plain", "application/octet-stream", ""] {
        assert!(filter(&shown(), &of(content_type), tools(&["one"]).to_string().as_bytes()).is_err(), "{content_type}");
    }
    let two = Representation { content_type: vec![b"application/json".to_vec(), b"text/plain".to_vec()], ..Representation::default() };
    assert!(filter(&shown(), &two, b"{}").is_err());
}

#[test]
fn nothing_goes_on_beside_a_result_or_an_error() {
    let message = |members: Value| {
        let mut message = json!({ "jsonrpc": "2.0", "id": 1 });
        message.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        message
    };
    let hidden = json!([{ "name": "secret" }]);
    for shown in [shown(), "any one".parse().unwrap()] {
        let error = message(json!({ "error": { "code": -1, "message": "no" } }));
        for beside in [
            json!({ "error": { "code": -1, "message": "no" }, "tools": hidden }),
            json!({ "error": { "code": -1, "message": "no" }, "Result": { "tools": hidden } }),
            json!({ "error": { "code": -1, "message": "no" }, "params": { "tools": hidden } }),
            json!({ "error": { "code": -1, "message": "no", "tools": hidden } }),
            json!({ "error": { "code": -1, "message": "no", "data": { "result": [{ "TOOL\u{17f}": hidden }] } } }),
            json!({ "error": { "code": -1, "message": "no", "data": { "tools": hidden } }, "result": null }),
        ] {
            assert_eq!(as_json(&shown, &message(beside)), Ok(error.clone()));
        }
        let list = tools(&["one"]);
        for beside in [json!({ "tools": hidden }), json!({ "Result": { "tools": hidden } }), json!({ "error": null })] {
            let mut with = tools(&["one", "secret"]);
            with.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
            assert_eq!(as_json(&shown, &with), Ok(list.clone()));
        }
        // Which revisions a server knows is told in an error, and a request to sample is no answer.
        for passes in [
            message(json!({ "error": { "code": -32022, "message": "no", "data": { "supported": ["2025-11-25"] } } })),
            message(json!({ "method": "sampling/createMessage", "params": { "messages": [], "tools": hidden } })),
        ] {
            assert_eq!(as_json(&shown, &passes), Ok(passes));
        }
        for refused in
            [json!({ "id": { "tools": hidden }, "error": {} }), json!({ "error": [{ "tools": hidden }] }), json!({ "error": "secret" })]
        {
            assert!(as_json(&shown, &message(refused.clone())).is_err(), "{refused}");
        }
    }
}

#[test]
fn where_a_batch_asked_for_more_its_other_results_pass() {
    let any: Shown = "any one".parse().unwrap();
    let other = json!({ "jsonrpc": "2.0", "id": 2, "result": { "content": [] } });
    assert_eq!(as_json(&any, &json!([other, tools(&["one", "secret"])])), Ok(json!([other, tools(&["one"])])));
    assert!(as_json(&any, &json!({ "jsonrpc": "2.0", "id": 2, "result": { "TOOLS": [] } })).is_err());
}

#[test]
fn an_event_stream_is_read_however_its_lines_end_and_split() {
    let (whole, seen) = (tools(&["one", "secret"]).to_string(), tools(&["one"]).to_string());
    let want = format!("id: 7\ndata: {seen}\n\n");
    for end in ["\n", "\r\n", "\r"] {
        assert_eq!(as_events(&format!("id: 7{end}data: {whole}{end}{end}")), Ok(want.clone()), "{end:?}");
        assert_eq!(as_events(&format!("\u{feff}id:7{end}data:{whole}{end}: x{end}secret: {whole}{end}{end}")), Ok(want.clone()));
        // A data line may end wherever white space may stand in JSON.
        let split = whole.replacen(",", &format!(",{end}data: "), 2);
        assert_eq!(as_events(&format!("id: 7{end}data: {split}{end}{end}")), Ok(want.clone()));
    }
    assert_eq!(as_events("id: 1\ndata:\n\n: secret\n\nretry: 3\n\n\n\n"), Ok("id: 1\ndata:\n\n:\n\nretry: 3\n\n".to_owned()));
    assert_eq!(as_events("id: {\"secret\"}\n\nid: a b\n\nretry: 1x\n\nevent: secret\n\nsecret\n\nid\n\n"), Ok(String::new()));
    // Two messages, each an event; the last one is not ended, and so is none.
    assert_eq!(as_events(&format!("data: {whole}\n\ndata: {whole}\n")), Ok(format!("data: {seen}\n\n")));
    assert_eq!(as_events(&format!("data: {whole}")), Ok(String::new()));
    assert!(as_events("data: secret\n\n").is_err());
    assert!(as_events("event: endpoint\ndata: /messages?sessionId=1\n\n").is_err());
    assert!(filter(&shown(), &of("text/event-stream"), b"data: \xff\n\n").is_err());
}

#[test]
fn what_may_be_shown_is_told_in_words() {
    for text in ["list", "list a b", "any a"] {
        assert_eq!(text.parse::<Shown>().unwrap().to_string(), text);
    }
    for text in ["", "a b", "LIST a"] {
        assert!(text.parse::<Shown>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_no_secret_is_seen(
        pieces in proptest::collection::vec(prop_oneof![
            Just("data: ".to_owned()), Just("\n".to_owned()), Just("\r".to_owned()), Just("\n\n".to_owned()), Just("id: ".to_owned()),
            Just(tools(&["secret-tool", "one"]).to_string()), Just("[".to_owned()), Just("]".to_owned()), "[a-z:]{0,4}",
        ], 0..24),
        events in any::<bool>(),
    ) {
        let body = pieces.concat();
        let content_type = of(if events { "text/event-stream" } else { "application/json" });
        if let Ok(seen) = filter(&shown(), &content_type, body.as_bytes()) {
            prop_assert!(!String::from_utf8_lossy(&seen).contains("secret-tool"));
        }
    }
}

#[test]
fn what_answers_something_else_holds_no_tools_in_another_spelling() {
    let shown = Shown::new(false, ["one".to_owned()]);
    let result = |name: &str| json!({ "jsonrpc": "2.0", "id": 1, "result": { name: [{ "name": "secret" }] } });
    assert_eq!(as_json(&shown, &result("items")), Ok(result("items")));
    // Some servers and clients fold ſ, too (Go's encoding/json): it is an S in capitals and no s in small letters.
    for name in ["Tools", "TOOLS", "allTools", "tool\u{17f}", "TOOL\u{17f}"] {
        assert!(as_json(&shown, &result(name)).is_err(), "{name}");
    }
}
