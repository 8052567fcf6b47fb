use super::*;
use crate::TopicMatcher;

mod coding;
mod hiding;
mod properties;
mod redaction;

fn filter() -> Filter {
    let matcher = |phrases: &[&str], patterns: &[&str]| TopicMatcher {
        phrases: phrases.iter().map(|one| (*one).to_owned()).collect(),
        patterns: patterns.iter().map(|one| (*one).to_owned()).collect(),
    };
    let topics = [
        ("rivals".to_owned(), matcher(&["Initech", "Hooli Corp", "竞争对手", "Straße 9"], &[])),
        ("prices".to_owned(), matcher(&["price floor"], &[r"\bmargin\s+\d+%"])),
    ];
    Filter::new(Detector::ALL.into(), Topics::compile(topics.into()).unwrap())
}

fn of<'a>(content_type: &'a str) -> Media<'a> {
    Media::of(Some(content_type.as_bytes()).filter(|one| !one.is_empty()), None)
}

/// What is found: kinds, then labels, or why nothing can be said.
fn found(content_type: &str, body: impl AsRef<[u8]>) -> String {
    said(filter().scan(&of(content_type), body.as_ref(), &Budget::default()))
}

fn said(found: Result<Found, Unscannable>) -> String {
    match found {
        Ok(found) => found.pii.iter().map(|kind| kind.name()).chain(found.topics.iter().map(String::as_str)).collect::<Vec<_>>().join(" "),
        Err(why) => format!("! {}", why.name()),
    }
}

fn redacted(content_type: &str, body: &str) -> String {
    let redacted = filter().redact(&of(content_type), body.as_bytes(), &Budget::default()).unwrap();
    redacted.body.map_or_else(|| body.to_owned(), |body| String::from_utf8(body).unwrap())
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn what_cannot_be_read_is_said() {
    for (content_type, body, answer) in [
        (JSON, "{", "! malformed"),
        (JSON, "{\"a\":1}x", "! malformed"),
        (JSON, "{\"a\":01}", "! malformed"),
        (JSON, "[1,]", "! malformed"),
        (JSON, "NaN", "! malformed"),
        (JSON, "[\"\\ud800\"]", "! malformed"),
        (JSON, "[\"\\ud800\\u0041\"]", "! malformed"),
        (JSON, "[\"\\x\"]", "! malformed"),
        (JSON, "[\"a\nb\"]", "! malformed"),
        (JSON, "\u{feff}{}", ""),
        (JSON, "[\"\\ud83d\\ude00\"]", ""),
        (JSON, "123456789012345678901234567890123456789012345678901234567890e9999999999", ""),
        (JSON, "", ""),
        ("image/png", "x", "! type"),
        ("application/octet-stream", "x", "! type"),
        ("application/json, text/plain", "{}", "! type"),
        ("application/json; charset=utf-16", "{}", "! charset"),
        ("text/plain; charset=utf-16", "x", "! charset"),
        ("text/plain; charset=utf-8; charset=utf-7", "x", "! charset"),
        ("multipart/form-data", "x", "! type"),
        ("multipart/digest; boundary=XX", "--XX\r\n\r\nx\r\n--XX--", "! type"),
        ("text/plain", "Ini%u0074ech, Ini%U0074ech, Ini%u07", "rivals"),
        ("text/plain", "Ini%u+074ech, Ini\\u+074ech, Ini\\u{+74}ech", ""),
        ("text/plain", "%ud835%udc08nitech", "rivals"),
        ("text/plain", "%ud835\\udc08nitech", ""),
        ("application/x-www-form-urlencoded", "a=joe%u0040example.com", "email"),
        ("application/x-www-form-urlencoded", "a=joe%25u0040example.com", "email"),
        ("application/xml", "<!DOCTYPE a [<!ENTITY b \"tech\">]><a>Ini&b;</a>", "! malformed"),
        ("application/xml", "<?xml version='1.0' encoding='utf-16'?><a/>", "! charset"),
        (FORM, "a=%ff", "! malformed"),
    ] {
        assert_eq!(found(content_type, body), answer, "{content_type}: {body}");
    }
    assert_eq!(found(JSON, b"[\"\xff\"]"), "! malformed");
    assert_eq!(found("text/plain", b"\xff\xfeI\0n\0"), "! malformed");
    assert_eq!(found(JSON, "[".repeat(100_000)), "! malformed");
    assert_eq!(found(JSON, format!("{}{}", "[".repeat(200), "]".repeat(200))), "");
    assert_eq!(said(filter().scan(&Media::of([b"text/plain".as_slice(), b"text/html"], None), b"x", &Budget::default())), "! type");
    assert_eq!(found("text/plain", vec![b'a'; Filter::MAX_BYTES + 1]), "! too_large");
    assert_eq!(found("text/plain", "\u{fdfa}".repeat(10_000)), "! too_large", "what folding makes of it is bounded");
    assert_eq!(found("text/plain", "\\ufdfa".repeat(10_000)), "! too_large", "also behind escapes");
    assert_eq!(found("text/plain", format!("{} Initech", "\u{d55c}\u{ad6d}".repeat(10_000))), "rivals");
}

fn multipart(parts: &[(&str, &str)]) -> String {
    let part = |(headers, body): &(&str, &str)| format!("--XX\r\n{headers}\r\n\r\n{body}\r\n");
    parts.iter().map(part).collect::<String>() + "--XX--\r\n"
}

#[test]
fn every_part_is_read_as_what_it_is() {
    let form = "multipart/form-data; boundary=XX";
    let field = "Content-Disposition: form-data; name=\"a\"";
    let json = "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: application/json";
    assert_eq!(found(form, multipart(&[(field, "nothing"), (json, "{\"q\":\"\\u0049nitech\"}")])), "rivals");
    assert_eq!(found(form, multipart(&[(field, "4111 1111 1111 1111")])), "card");
    assert_eq!(found(form, multipart(&[("Content-Disposition: form-data; name=a; filename=\"Initech.txt\"", "x")])), "rivals");
    assert_eq!(found(form, multipart(&[("Content-Disposition: form-data; name=a; filename*=UTF-8''%49nitech", "x")])), "rivals");
    let image = "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: image/png";
    assert_eq!(found(form, multipart(&[(image, "x")])), "! type");
    let base64 = "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64";
    assert_eq!(found(form, multipart(&[(base64, "SW5pdGVjaA==")])), "! encoding");
    assert_eq!(redacted(form, &multipart(&[(field, "mail a@example.com!")])), multipart(&[(field, "mail [redacted:email]!")]));
    for broken in [
        "--XX\n\nInitech\n--XX--\n",
        "hidden\r\n--XX\r\na: b\r\n\r\nx\r\n--XX--\r\n",
        "--XX\r\na: b\r\n\r\nx\r\n--XX--\r\nhidden",
        "--XX\r\na: b\r\n\r\nx\r\n",
        "--XX\r\na: b\r\n\r\nx\n--XX\ny\r\n--XX--",
        "--XX\r\nContent-Type: text/plain\r\n ; charset=utf-16\r\n\r\nx\r\n--XX--\r\n",
        "--XX--",
        "--XX\r\n--XX--",
        "x",
    ] {
        assert!(found(form, broken).starts_with('!') || found(form, broken).is_empty() && broken == "--XX--", "{broken:?}");
    }
}

#[test]
fn a_topic_and_personal_data_are_always_both_found() {
    assert_eq!(found(JSON, r#"["Initech a@example.com"]"#), "email rivals");
    let redacted = filter().redact(&of(JSON), br#"["Initech a@example.com"]"#, &Budget::default()).unwrap();
    assert_eq!(said(Ok(redacted.found)), "email rivals");
}

/// What is in a path and in its query.
pub(super) fn target(filter: &Filter, path: &str, query: Option<&str>) -> String {
    let budget = Budget::default();
    let all = [filter.scan_path(path, &budget), filter.scan_query(query.unwrap_or_default(), &budget)];
    let both = all.into_iter().collect::<Result<Vec<_>, _>>();
    said(both.map(|all| all.into_iter().fold(Found::default(), Found::and)))
}

#[test]
fn a_path_and_a_query_are_read() {
    let scan = |path, query| target(&filter(), path, query);
    assert_eq!(scan("/users/a@example.com", None), "email");
    assert_eq!(scan("/search/%49nitech", None), "rivals");
    assert_eq!(scan("/search", Some("q=%49nitech&card=4111+1111+1111+1111")), "card rivals");
    assert_eq!(scan("/v1/hosts/192.168.10.7", None), "ip");
    assert_eq!(scan("/v1/orders/100200300", Some("page=2")), "");
    assert_eq!(scan("/v1", Some("q=%ff")), "! malformed");
}

#[test]
fn what_passes_unread_is_glanced_at() {
    let glance = |body: &[u8]| said(filter().glance(&of("image/png"), body, &Budget::default()));
    assert_eq!(glance(b"\xff Initech a@example.com"), "email rivals");
    assert_eq!(glance(b"{\"q\":\"Initech\""), "rivals");
}
