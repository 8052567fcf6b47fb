//! What redaction takes out, and that it leaves the rest.

use super::*;

#[test]
fn redaction_leaves_every_other_byte() {
    for (content_type, body, out) in [
        (JSON, r#" { "mail" : "to a@example.com.", "n": 1.50 } "#, r#" { "mail" : "to [redacted:email].", "n": 1.50 } "#),
        (JSON, r#"{"n":4111111111111111}"#, r#"{"n":"[redacted:card]"}"#),
        (JSON, r#"{"n":4.111111111111111e15,"m":1}"#, r#"{"n":"[redacted:card]","m":1}"#),
        (JSON, r#"{"a@example.com":1,"b@example.com":2}"#, r#"{"[redacted:email]":1,"[redacted:email#2]":2}"#),
        (JSON, r#"{"q":"x {\"a\":1} \u0061@example.com\t"}"#, r#"{"q":"x {\"a\":1} [redacted:email]\t"}"#),
        (
            JSON,
            r#"{"q":"{\"a\":\"\\u0061@example.com\",\"n\":4111111111111111}"}"#,
            r#"{"q":"{\"a\":\"[redacted:email]\",\"n\":\"[redacted:card]\"}"}"#,
        ),
        (FORM, "q=%7B%22n%22%3A4111111111111111%7D", "q=%7B%22n%22%3A%22%5Bredacted%3Acard%5D%22%7D"),
        (FORM, "mail=a%40example.com&x=1", "mail=%5Bredacted%3Aemail%5D&x=1"),
        ("text/plain", "a@example.com, +49 30 901820", "[redacted:email], [redacted:phone]"),
        ("text/plain; charset=latin1", "a@example.com", "[redacted:email]"),
        ("application/xml", "<a m=\"a&#64;example.com\"/>", "<a m=\"[redacted:email]\"/>"),
        ("application/x-ndjson", "{\"a\":\"a@example.com\"}\n{}\n", "{\"a\":\"[redacted:email]\"}\n{}\n"),
        ("text/event-stream", "data: {\"n\":4111111111111111}\n\n", "data: {\"n\":\"[redacted:card]\"}\n\n"),
        (
            "text/event-stream",
            "data: {\"type\":\"phone\",\"value\":5551234567}\n\n",
            "data: {\"type\":\"phone\",\"value\":\"[redacted:phone]\"}\n\n",
        ),
        ("text/plain", r#"["call",-5551234567,"x"]"#, r#"["call","[redacted:phone]","x"]"#),
        (
            JSON,
            r#"{"arguments":"{\"type\":\"phone\",\"value\":5551234567}"}"#,
            r#"{"arguments":"{\"type\":\"phone\",\"value\":\"[redacted:phone]\"}"}"#,
        ),
        (JSON, r#"{"iban":"GB33BUKB20201555555555 and a@example.com"}"#, r#"{"iban":"[redacted:iban] and [redacted:email]"}"#),
        (JSON, r#"{"password":"hunter2!x"}"#, r#"{"password":"[redacted:secret]"}"#),
        (
            JSON,
            r#"{"q":"WVRvZ1lVQmxlR0Z0Y0d4bExtTnZiUT09","r":"x %61@example.com"}"#,
            r#"{"q":"[redacted:email]","r":"x [redacted:email]"}"#,
        ),
        (FORM, "q=a%2540example.com", "q=%5Bredacted%3Aemail%5D"),
        (JSON, r#"{"ssn":123456789}"#, r#"{"ssn":"[redacted:national-id]"}"#),
        (JSON, r#"{"query":"{ a(b: \"\\u0034111111111111111!\") }"}"#, r#"{"query":"{ a(b: \"[redacted:card]!\") }"}"#),
    ] {
        assert_eq!(redacted(content_type, body), out);
        assert_eq!(redacted(content_type, out), out, "nothing is left");
    }
    // Between tags nothing can be taken out without the tags.
    assert_eq!(filter().redact(&of("text/html"), b"4111<wbr>1111<wbr>1111<wbr>1111", &Budget::default()), Err(Unscannable::Unrewritable));
}

#[test]
fn a_key_that_is_there_already_is_not_written_again() {
    for (body, expected) in [
        (r#"{"[redacted:email]":1,"a@example.com":2}"#, r#"{"[redacted:email]":1,"[redacted:email#2]":2}"#),
        (
            r#"{"a@example.com":1,"b@example.com":2,"[redacted:email#2]":3}"#,
            r#"{"[redacted:email]":1,"[redacted:email#3]":2,"[redacted:email#2]":3}"#,
        ),
        (r#"{"\u005bredacted:email]":1,"a@example.com":2}"#, r#"{"\u005bredacted:email]":1,"[redacted:email#2]":2}"#),
        (r#"{"q":"{\"[redacted:email]\":1,\"a@example.com\":2}"}"#, r#"{"q":"{\"[redacted:email]\":1,\"[redacted:email#2]\":2}"}"#),
    ] {
        let redacted = filter().redact(&of(JSON), body.as_bytes(), &Budget::default()).unwrap().body.unwrap();
        assert_eq!(String::from_utf8(redacted).unwrap(), expected);
    }
}
