//! What a policy takes out of a message leaves one that would have passed.

use bulkhead_content::Budget;

use super::*;
use crate::guardrails::mcp::rewritten::{is_light, judge};
use crate::process::{
    Side,
    answered::Answered,
    content::Everything,
    reader::{Reader as _, Representation},
    rewritten::Rewritten,
};

/// What becomes of a message at an API, or with which reason and status it is refused.
fn taken_out_of(api: &str, message: &str) -> Result<String, (Reason, u16)> {
    let snapshot = world();
    let policy = crate::route::policy(snapshot.tenant("acme").unwrap()).unwrap();
    let reader = Rewritten::by(Everything::at(Side::Request), policy, policy.api(api).unwrap());
    let representation = Representation { content_type: vec![b"application/json".to_vec()], ..Representation::default() };
    let reading = reader.read(&representation, message.as_bytes(), &Budget::default());
    reading.map_or_else(
        |refusal| Err((refusal.denial.reason, refusal.status)),
        |reading| Ok(reading.body.map_or_else(|| message.to_owned(), |body| String::from_utf8(body).unwrap())),
    )
}

/// What becomes of an answer.
fn answered(content_type: &str, body: &str) -> Result<String, (Reason, u16)> {
    let representation = Representation { content_type: vec![content_type.as_bytes().to_vec()], ..Representation::default() };
    let reading = Answered::by(Everything::at(Side::Response)).read(&representation, body.as_bytes(), &Budget::default());
    reading.map_or_else(
        |refusal| Err((refusal.denial.reason, refusal.status)),
        |reading| Ok(reading.body.map_or_else(|| body.to_owned(), |body| String::from_utf8(body).unwrap())),
    )
}

#[test]
fn an_answer_that_would_find_nobody_who_asked_is_refused() {
    let answer = |id: &str, result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let refused = Err((Reason::Unreadable, 502));
    for (content_type, before, after) in
        [("application/json", "", ""), ("application/json", "[", "]"), ("text/event-stream", "data: ", "\n\n")]
    {
        let sent = |id: &str, result: &str| format!("{before}{}{after}", answer(id, result));
        assert_eq!(answered(content_type, &sent("4111111111111111", "{}")), refused, "{content_type}");
        assert_eq!(answered(content_type, &sent("\"a@example.com\"", r#"{"to":"b@example.com"}"#)), refused, "{content_type}");
        let kept = sent("1", r#"{"id":"b@example.com","params":{"requestId":"c@example.com"}}"#);
        let expected = kept.replace("b@example.com", "[redacted:email]").replace("c@example.com", "[redacted:email]");
        assert_eq!(answered(content_type, &kept), Ok(expected), "{content_type}: what the server tells is its own");
    }
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a@example.com"}}"#;
    assert_eq!(answered("application/json", progress), refused);
}

fn call(id: &str, tool: &str, arguments: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#)
}

#[test]
fn arguments_fit_their_schema_as_they_go_on() {
    // A city begins with a capital letter.
    let passed = call("1", "weather", r#"{"city":"Berlin, a@example.com"}"#);
    assert_eq!(taken_out_of("tools-api", &passed), Ok(passed.replace("a@example.com", "[redacted:email]")));
    let unfit = Err((Reason::Tool, 400));
    assert_eq!(taken_out_of("tools-api", &call("1", "weather", r#"{"city":"A@example.com"}"#)), unfit);
    let batch = format!("[{},{}]", call("1", "ledger", "{}"), call("2", "weather", r#"{"city":"A@example.com"}"#));
    assert_eq!(taken_out_of("tools-api", &batch), unfit);
    let free = call("1", "ledger", r#"{"n":4111111111111111}"#);
    assert_eq!(taken_out_of("tools-api", &free), Ok(free.replace("4111111111111111", "\"[redacted:card]\"")), "any object fits");
}

#[test]
fn an_id_that_looks_like_personal_data_is_refused_and_not_rewritten() {
    let refused = Err((Reason::Unreadable, 400));
    for id in ["4111111111111111", "\"a@example.com\""] {
        assert_eq!(taken_out_of("tools-api", &call(id, "ledger", "{}")), refused, "{id}");
    }
    for params in
        [r#"{"requestId":"a@example.com"}"#, r#"{"progressToken":4111111111111111}"#, r#"{"_meta":{"progressToken":"a@example.com"}}"#]
    {
        let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
        assert_eq!(taken_out_of("tools-api", &message), refused, "{params}");
    }
    let told = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"a@example.com"}}"#;
    assert_eq!(taken_out_of("tools-api", told), Ok(told.replace("a@example.com", "[redacted:email]")));
}

#[test]
fn a_tool_is_called_by_its_own_name_or_not_at_all() {
    // Whatever its name was before: what the server reads now is what is judged.
    let renamed = call("1", "[redacted:email]", "{}");
    let snapshot = world();
    let policy = crate::route::policy(snapshot.tenant("acme").unwrap()).unwrap();
    let judged = judge(renamed.as_bytes(), policy, policy.api("tools-api").unwrap());
    assert_eq!(judged.map_err(|denial| denial.reason), Err(Reason::Unreadable));
    let prompt = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"[redacted:email]"}}"#;
    assert!(judge(prompt.as_bytes(), policy, policy.api("tools-api").unwrap()).is_ok(), "another kind of name");
}

#[test]
fn s5_what_takes_long_to_judge_again_is_judged_off_the_io_threads() {
    let snapshot = world();
    let policy = crate::route::policy(snapshot.tenant("acme").unwrap()).unwrap();
    let light = |api, bytes| is_light(bytes, policy, policy.api(api).unwrap());
    assert!(light("more-api", JUDGED_AT_ONCE) && !light("more-api", JUDGED_AT_ONCE + 1));
    assert!(!light("tools-api", 1), "a schema with a pattern");
}
