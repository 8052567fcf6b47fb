use std::time::Duration;

use bulkhead_tenancy::snapshot::Snapshot;
use tokio::time::Instant;

use super::*;
use crate::{
    decide::Declared,
    fixture::{self, get},
    guardrails::{Found, Guardrails},
    route,
    verdict::Process,
};

const TOPICS: &str = "blockedTopics: [rivals], topics: { rivals: { phrases: [Initech] } }";

/// A request with a body, as `(path, content-type, content-encoding, body)`.
type Sent<'a> = (&'a str, &'a str, &'a str, &'a [u8]);

/// A GuardrailPolicy's spec with this filter alone.
fn filtering(filter: &str) -> String {
    format!("contentFilter: {{ {filter} }}")
}

fn globex(snapshot: &Snapshot) -> &Arc<TenantPolicy> {
    route::policy(snapshot.tenant("globex").unwrap()).unwrap()
}

/// Envoy shows bodies, and ext_proc stands in its chain.
fn all() -> Declared {
    Declared { body: true, process: true, ..Declared::default() }
}

/// What globex's guardrails say, where this is the spec of one, about a request whose body Envoy shows like this: `allow` or the reason,
/// what is asked of ext_proc, and what was found.
async fn said(
    spec: &str,
    declared: Declared,
    sent: Sent<'_>,
    shown: impl Fn(&'static [u8]) -> Body<'static>,
) -> (&'static str, Process, Found) {
    let snapshot = fixture::guarded(spec);
    let (caller, policy) = (fixture::caller(&snapshot, "globex").unwrap(), globex(&snapshot));
    let (path, content_type, encoding, body) = sent;
    let mut request =
        Attributes::of(get(path).with("content-type", leaked(content_type)).with("content-encoding", leaked(encoding)).request()).unwrap();
    request.body = shown(body.to_vec().leak());
    let asked = Asked {
        policy,
        api: policy.api("inventory-api").unwrap(),
        caller: &caller,
        subscription: None,
        request: &request,
        path: "",
        declared,
        now: 1_800_000_000,
        until: Instant::now() + Duration::from_secs(60),
    };
    let mut found = Found::default();
    let guardrails = Guardrails::default();
    let outcome = guardrails.judge(&asked, &mut found).await;
    // Where the tenant has no time left of the I/O threads, nobody is told the difference.
    guardrails.offload().exhaust(&caller.tenant.uid);
    let elsewhere = guardrails.judge(&asked, &mut Found::default()).await;
    assert_eq!(format!("{outcome:?}"), format!("{elsewhere:?}"));
    let process = outcome.as_ref().map_or(Process::None, |passed| passed.process);
    (outcome.map_or_else(|denial| denial.reason.name(), |_| "allow"), process, found)
}

/// The same of a filter that is enforced.
async fn judged(filter: &str, sent: Sent<'_>) -> (&'static str, Process, Findings) {
    let (answer, process, found) = said(&filtering(filter), all(), sent, whole).await;
    (answer, process, found.findings)
}

/// A body as Envoy shows it where there is one.
fn whole(body: &[u8]) -> Body<'_> {
    if body.is_empty() { Body::Absent } else { Body::Whole(body) }
}

fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

async fn answer(filter: &str, sent: Sent<'_>) -> &'static str {
    judged(filter, sent).await.0
}

fn json(body: &str) -> Sent<'_> {
    ("/globex/inventory-api", "application/json", "", body.as_bytes())
}

#[tokio::test]
async fn a_blocked_topic_denies_in_body_path_and_query() {
    assert_eq!(answer(TOPICS, json(r#"{"q":"\u0049nitech"}"#)).await, "topic");
    assert_eq!(answer(TOPICS, ("/globex/inventory-api/%49nitech", "", "", b"")).await, "topic");
    assert_eq!(answer(TOPICS, ("/globex/inventory-api?q=about+Initech", "", "", b"")).await, "topic");
    assert_eq!(answer(TOPICS, json(r#"{"q":"Initechs"}"#)).await, "allow");
    assert_eq!(answer(TOPICS, json("")).await, "allow");
    let large = format!("{{\"a\":\"{}\",\"q\":\"Initech\"}}", "x".repeat(100_000));
    assert_eq!(answer(TOPICS, json(&large)).await, "topic", "also off the I/O threads");
}

#[tokio::test]
async fn personal_data_is_recorded_rewritten_or_denied() {
    let sent = json(r#"{"mail":"a@example.com"}"#);
    let (answer_of_detect, process, findings) = judged("piiDetection: detect", sent).await;
    assert_eq!((answer_of_detect, process, findings.pii), ("allow", Process::None, [Detector::Email].into()));
    let (answer_of_block, _, findings) = judged("piiDetection: block", sent).await;
    assert_eq!((answer_of_block, findings.pii), ("pii", [Detector::Email].into()));
    assert_eq!(answer("piiDetection: block, detectors: [card]", sent).await, "allow");
    let (answer_of_redact, process, findings) = judged("piiDetection: redact", sent).await;
    assert_eq!((answer_of_redact, process), ("allow", Process::Request));
    assert_eq!(findings.pii, [].into(), "what ext_proc takes out is ext_proc's to find");
    assert_eq!(answer("piiDetection: off", sent).await, "allow");
}

#[tokio::test]
async fn neither_hides_the_other_and_the_topic_answers() {
    let both = json(r#"["Initech a@example.com"]"#);
    let (answer, _, findings) = judged(&format!("piiDetection: block, {TOPICS}"), both).await;
    assert_eq!((answer, findings.pii), ("topic", [Detector::Email].into()));
    assert_eq!(findings.topics, ["rivals".to_owned()].into());
}

#[tokio::test]
async fn what_cannot_be_read_is_denied_unless_the_policy_says_otherwise() {
    let image = ("/globex/inventory-api", "image/png", "", b"\x89PNG".as_slice());
    let coded = ("/globex/inventory-api", "application/json", "lzma", b"x".as_slice());
    let broken = json("{\"a\":");
    let huge = vec![b' '; bulkhead_content::Filter::MAX_BYTES + 1];
    let large = ("/globex/inventory-api", "text/plain", "", huge.as_slice());
    for (sent, denied) in [(image, "unreadable"), (coded, "unreadable"), (broken, "unreadable"), (large, "too_large")] {
        assert_eq!(answer(TOPICS, sent).await, denied);
        assert_eq!(answer(&format!("{TOPICS}, unscannable: allow"), sent).await, "allow");
    }
    let shown = ("/globex/inventory-api", "image/png", "", b"\x89PNG Initech".as_slice());
    assert_eq!(answer(&format!("{TOPICS}, unscannable: allow"), shown).await, "topic", "what can be seen is looked at");
}

#[tokio::test]
async fn answers_alone_are_not_the_requests() {
    let sent = json(r#"{"q":"Initech"}"#);
    let (answer, process, _) = judged(&format!("{TOPICS}, apply: [response]"), sent).await;
    assert_eq!((answer, process), ("allow", Process::Response));
}

/// The same of a filter in shadow, with what is marked.
async fn in_shadow(
    spec: &str,
    declared: Declared,
    sent: Sent<'_>,
    shown: impl Fn(&'static [u8]) -> Body<'static>,
) -> (&'static str, Process, Vec<String>) {
    let (answer, process, found) = said(spec, declared, sent, shown).await;
    let marks = found.shadow.iter().map(|mark| format!("{} {}", mark.name(), mark.found.join(","))).collect();
    assert_eq!((found.findings.pii, found.findings.topics), Default::default(), "what is found in shadow stands in its marks alone");
    (answer, process, marks)
}

#[tokio::test]
async fn a_filter_in_shadow_is_told_of_and_does_nothing() {
    let spec = |filter: &str| format!("shadow: true, contentFilter: {{ {filter} }}");
    let sent = json(r#"{"q":"Initech a@example.com"}"#);
    let image = ("/globex/inventory-api", "image/png", "", b"x".as_slice());
    for (filter, sent, marks) in [
        (TOPICS, sent, vec!["topic rivals"]),
        ("piiDetection: block", sent, vec!["pii email"]),
        ("piiDetection: redact", sent, vec!["redact email"]),
        ("piiDetection: detect", sent, vec!["detect email"]),
        ("piiDetection: block", json("{}"), vec![]),
        ("piiDetection: block", image, vec!["unreadable "]),
        ("piiDetection: block, unscannable: allow", image, vec![]),
        ("piiDetection: block, apply: [response]", sent, vec![]),
    ] {
        let marks: Vec<String> = marks.into_iter().map(str::to_owned).collect();
        assert_eq!(in_shadow(&spec(filter), all(), sent, Body::Whole).await, ("allow", Process::None, marks), "{filter}");
    }
    // Where nobody shows the body, or ext_proc does not stand in the chain, it would have denied, and does not.
    let none = Declared::default();
    let would = |name: &str| ("allow", Process::None, vec![format!("{name} ")]);
    assert_eq!(in_shadow(&spec(TOPICS), none, sent, Body::Whole).await, would("unavailable"));
    assert_eq!(in_shadow(&spec(TOPICS), all(), sent, |_| Body::Unseen).await, would("unavailable"));
    assert_eq!(in_shadow(&spec(TOPICS), all(), sent, |_| Body::Truncated).await, would("too_large"));
    let body_alone = Declared { body: true, ..Declared::default() };
    let redacting = in_shadow(&spec("piiDetection: redact"), body_alone, sent, Body::Whole).await;
    assert_eq!((redacting.0, redacting.1, redacting.2.first().map(String::as_str)), ("allow", Process::None, Some("unavailable ")));
}

#[tokio::test]
async fn a_filter_in_shadow_is_asked_about_what_all_others_let_pass() {
    let another = |rules: &str| {
        format!(
            "shadow: true, contentFilter: {{ {TOPICS} }} }}\n---\napiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\n\
             metadata: {{ name: strict, namespace: tenant-globex }}\nspec: {{ rules: '{rules}'"
        )
    };
    let sent = json(r#"{"q":"Initech"}"#);
    assert_eq!(
        in_shadow(&another("allow := true"), all(), sent, Body::Whole).await,
        ("allow", Process::None, vec!["topic rivals".to_owned()])
    );
    assert_eq!(in_shadow(&another("allow := false"), all(), sent, Body::Whole).await, ("rule", Process::None, vec![]));
}

#[tokio::test]
async fn s14_a_body_that_envoy_may_have_altered_is_read_by_ext_proc_or_denied() {
    let read = |filter: &'static str, process: bool, body: &'static str| async move {
        let declared = Declared { process, ..all() };
        let (answer, process, _) = said(&filtering(filter), declared, json(body), Body::Doubtful).await;
        (answer, process)
    };
    assert_eq!(read(TOPICS, false, r#"{"q":"Ini!tech"}"#).await, ("unreadable", Process::None));
    assert_eq!(read(TOPICS, true, r#"{"q":"Ini!tech"}"#).await, ("allow", Process::Request));
    assert_eq!(read(TOPICS, true, "!").await, ("allow", Process::Request), "ext_proc sees what it was");
    assert_eq!(read("piiDetection: off", false, "!").await, ("allow", Process::None));
    assert_eq!(read("piiDetection: block, apply: [response]", true, "!").await, ("allow", Process::Response));
}

/// What is read of a request with this body, by globex's filter.
fn work(filter: &str, body: &str) -> Work {
    let mut request = Attributes::of(get("/globex/inventory-api").with("content-type", "application/json").request()).unwrap();
    request.body = Body::Whole(body.as_bytes());
    Work::of(globex(&fixture::guarded(&filtering(filter))), &request)
}

#[test]
fn s5_what_takes_more_than_its_budget_is_unread_whatever_the_policy_lets_pass() {
    for unscannable in ["deny", "allow"] {
        let work = work(&format!("piiDetection: block, unscannable: {unscannable}"), r#"{"a":"nothing, but of some length"}"#);
        assert_eq!(work.enforced(&Budget::new(100)).unread, Some(Unscannable::Effort), "{unscannable}");
        assert_eq!(work.enforced(&Budget::new(10_000)).unread, None, "{unscannable}");
    }
    let denial = Denial::from(Unscannable::Effort);
    assert_eq!((denial.reason, denial.status, denial.retry_after), (Reason::Unavailable, 503, Some(1)));
}

#[tokio::test]
async fn what_is_small_and_costs_much_is_read_off_the_io_threads() {
    let costly = format!(r#"{{"a":"{} a@example.com"}}"#, "12 ".repeat(1_000));
    let work = work("piiDetection: block", &costly);
    assert!(work.is_small() && work.enforced(&Budget::new(crate::offload::small::AT_ONCE)).unread == Some(Unscannable::Effort));
    assert_eq!(answer("piiDetection: block", json(&costly)).await, "pii");
}

#[test]
fn a_small_body_is_read_at_once_only_where_that_is_cheap_whatever_it_holds() {
    let is_small = |filter: &str| {
        let snapshot = fixture::guarded(&filtering(filter));
        Work::of(globex(&snapshot), &Attributes::of(get("/globex/inventory-api").request()).unwrap()).is_small()
    };
    assert!(is_small(TOPICS));
    assert!(!is_small("blockedTopics: [rivals], topics: { rivals: { patterns: ['x(a|b|ab){1,100}'] } }"));
}
