use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::TopicMatcher;

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
fn a_topic_does_not_hide_in_how_it_is_written() {
    for (content_type, body) in [
        (JSON, r#"{"q":"ask Initech now"}"#),
        (JSON, r#"{"q":"\u0049nitech"}"#),
        (JSON, r#"{"\u0049nitech":1}"#),
        (JSON, r#"["INITECH"]"#),
        (JSON, "{\"q\":\"Ini\u{200b}tech\"}"),
        (JSON, r#"{"q":"Ini\u200btech"}"#),
        (JSON, r#"{"q":"Ini\u00adtech"}"#),
        (JSON, r#"{"q":"Ini\ntech Hooli\u00a0Corp"}"#),
        (JSON, r#"{"q":"hooli-corp"}"#),
        (JSON, "{\"q\":\"Ｉｎｉｔｅｃｈ\"}"),
        (JSON, "{\"q\":\"I\u{301}nitéch\"}"),
        (JSON, "{\"q\":\"𝐈𝐧𝐢𝐭𝐞𝐜𝐡\"}"),
        (JSON, "{\"q\":\"STRASSE 9\"}"),
        (JSON, "{\"q\":\"我们的竞争对手很强\"}"),
        (JSON, r#"{"q":"{\"a\":\"\\u0049nitech\"}"}"#),
        (JSON, r#"{"q":1,"q":"Initech","q":2}"#),
        (FORM, "q=%49nitech"),
        (FORM, "q=hooli+corp"),
        (FORM, "Initech=1"),
        (FORM, r#"{"q":"\u0049nitech"}"#),
        ("text/plain", "about Initech."),
        ("text/plain", r#"{"q":"\u0049nitech"}"#),
        ("", r#"{"q":"\u0049nitech"}"#),
        ("text/plain; charset=iso-8859-1", "about Initech"),
        ("application/xml", "<a>&#73;nitech</a>"),
        ("text/html", "<p>&#x49;ni&shy;tech</p>"),
        ("text/html", "Ini<b>tech</b>"),
        ("application/xml", "<a>Ini<![CDATA[tech]]></a>"),
        ("application/xml", "<a>Ini<!-- > -->tech</a>"),
        ("text/event-stream", "event: a\ndata: {\"q\":\"\\u0049nitech\"}\n\n"),
        ("text/event-stream", "data: hooli\ndata: corp\n\n"),
        ("application/x-ndjson", "{}\n{\"q\":\"\\u0049nitech\"}\n"),
        // Encoded once more, or in another language than its own.
        (JSON, r#"{"q":"see %49nitech"}"#),
        (JSON, r#"{"q":"see %2549nitech"}"#),
        (JSON, r#"{"q":"see &#73;nitech &amp;"}"#),
        (JSON, r#"{"q":"see &amp;#73;nitech"}"#),
        (JSON, r#"{"q":"see \\u0049nitech%20"}"#),
        (FORM, "q=%2549nitech"),
        (FORM, "q=%26%2373%3Bnitech"),
        ("text/plain", "see %49nitech"),
        (JSON, r#"{"q":"SW5pdGVjaA=="}"#),
        (JSON, r#"{"q":"YXNrIEluaXRlY2ggbm93"}"#),
        (JSON, r#"{"q":"eyJhIjoiXHUwMDQ5bml0ZWNoIn0"}"#),
        (JSON, r#"{"q":"WVhOcklFbHVhWFJsWTJnZ2JtOTM="}"#),
        (JSON, r#"{"YXNrIEluaXRlY2ggbm93":1}"#),
        (FORM, "q=YXNrIEluaXRlY2ggbm93"),
        ("text/plain", "YXNrIElu\r\naXRlY2ggbm93\r\n"),
        // Letters that look like others.
        (JSON, "{\"q\":\"\u{406}n\u{456}t\u{435}\u{441}h\"}"),
        (JSON, "{\"q\":\"Init\u{3b5}ch \u{3a1}rice\"}"),
        // Where browsers see the end of a tag or a comment, and where others do.
        ("text/html", "Ini<b title=\">\">tech</b>"),
        ("text/html", "Ini<b title='>' x = \">\">tech"),
        ("text/html", "Ini<b title=\">tech"),
        ("text/html", "Ini<!--> -->tech"),
        ("text/html", "Ini<!--x--!>tech"),
        ("text/html", "Ini<!--->tech"),
        ("text/html", "Ini<![CDATA[>tech"),
        ("text/html", "1 < 2 Initech"),
        ("application/problem+json", r#"{"q":"\u0049nitech"}"#),
    ] {
        assert_eq!(found(content_type, body), "rivals", "{content_type}: {body}");
    }
    assert_eq!(found(JSON, r#"["price  FLOOR", "Margin 12%"]"#), "prices");
}

#[test]
fn what_is_no_base64_and_no_reference_is_only_itself() {
    for body in [
        "[\"internationalization\"]",
        "[\"100% of R&D; a&b\"]",
        "[\"4111 1111 1111 1112\"]",
        "[\"AAAAAAAAAAAAAAAA\"]",
        "[\"0123456789abcdef\"]",
    ] {
        assert_eq!(found(JSON, body), "", "{body}");
    }
}

#[test]
fn what_is_no_utf_8_may_be_a_topic_of_another_script() {
    assert_eq!(found(FORM, "q=caf%E9"), "! malformed", "one of the phrases is Chinese");
    let topic = TopicMatcher { phrases: vec!["caf\u{e9}".to_owned()], patterns: Vec::new() };
    let filter = Filter::new(Detector::ALL.into(), Topics::compile([("cafes".to_owned(), topic)].into()).unwrap());
    let scan = |path: &str, query| said(filter.scan_target(path, query, &Budget::default()));
    assert_eq!(
        (scan("/", Some("q=caf%E9")), scan("/", Some("q=caf%C3%A9")), scan("/caf%E9", None)),
        ("cafes".into(), "cafes".into(), "cafes".into())
    );
    assert_eq!((scan("/", Some("q=ca%FFf%C3%A9")), scan("/", Some("n=4111%FF1111%E91111%C31111"))), ("cafes".into(), "card".into()));
    let body = filter.redact(&of(FORM), b"m=x%FFa@example.com&r=caf%F9", &Budget::default()).unwrap().body.unwrap();
    assert_eq!(String::from_utf8_lossy(&body), "m=%5Bredacted%3Aemail%5D&r=caf%F9");
    assert_eq!((scan("/", Some("q=%E9")), scan("/", Some("m=a%40example.com%E9"))), (String::new(), "email".to_owned()));
}

#[test]
fn a_topic_is_whole_words() {
    for body in
        ["[\"Initechs\"]", "[\"xInitech\"]", "[\"Initech2\"]", "[\"hooli, corp\"]", "[\"margin\"]", "{\"a\":\"ini\",\"b\":\"tech\"}"]
    {
        assert_eq!(found(JSON, body), "", "{body}");
    }
}

#[test]
fn personal_data_does_not_hide_in_how_it_is_written() {
    for (content_type, body) in [
        (JSON, r#"{"n":4111111111111111}"#),
        (JSON, r#"{"n":4.111111111111111e15}"#),
        (JSON, r#"{"n":4111111111111111.0}"#),
        (JSON, r#"{"n":-4111111111111111}"#),
        (JSON, r#"{"n":"4111 1111 1111 1111"}"#),
        (JSON, r#"{"n":"4111-1111-1111-1111"}"#),
        (JSON, r#"{"n":"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"}"#),
        (JSON, r#"{"4111111111111111":1}"#),
        (JSON, "{\"n\":\"４１１１１１１１１１１１１１１１\"}"),
        (JSON, "{\"n\":\"٤١١١١١١١١١١١١١١١\"}"),
        (JSON, "{\"n\":\"4111\u{200b}1111\u{2060}1111\u{feff}1111\"}"),
        (JSON, "{\"n\":\"4\u{336}111 1111\u{2013}1111\u{00a0}1111\"}"),
        (JSON, r#"{"n":"\u0034111111111111111"}"#),
        (JSON, r#"{"n":"{\"a\":\"\\u0034111111111111111\"}"}"#),
        (FORM, "card=4111+1111+1111+1111"),
        (FORM, "card=%34111%31111%31111%31111"),
        ("text/plain", "card-4111111111111111."),
        ("application/xml", "<c n=\"4111&#49;11111111111\"/>"),
        ("text/html", "4111<wbr>1111<wbr>1111<wbr>1111"),
        (JSON, r#"{"n":"NDExMTExMTExMTExMTExMQ=="}"#),
        (JSON, r#"{"n":"%34111111111111111"}"#),
        (JSON, r#"{"n":"&#52;111111111111111"}"#),
    ] {
        assert_eq!(found(content_type, body), "card", "{content_type}: {body}");
    }
}

#[test]
fn nothing_hides_behind_what_another_parser_reads() {
    let long = "/a".repeat(40);
    let zeros = "0".repeat(100);
    for (content_type, body, what) in [
        // Go's decoder takes the first value and leaves the rest; others take comments, or a trailing comma.
        ("text/plain", r#"{"q":"\u0049nitech"} x"#.to_owned(), "rivals"),
        ("", r#"{"q":"\u0049nitech",}"#.to_owned(), "rivals"),
        ("text/plain", "\u{feff}{\"n\":\"\\u0034111111111111111\"}".to_owned(), "card"),
        ("text/event-stream", "\u{feff}data: {\"n\":\"\\u0034111111111111111\"}\n\n".to_owned(), "card"),
        ("application/yaml", r#"q: "\x49nitech""#.to_owned(), "rivals"),
        ("application/javascript", r#"q = "\u{49}nitech""#.to_owned(), "rivals"),
        ("text/plain", r#""\ud835\udc08nitech" x"#.to_owned(), "rivals"),
        // A query of GraphQL has escapes of its own.
        (JSON, r#"{"query":"{ a(b: \"\\u0049nitech\") }"}"#.to_owned(), "rivals"),
        (JSON, r#"{"query":"{ a(b: \"\\u0034111111111111111\") }"}"#.to_owned(), "card"),
        (JSON, format!("{{\"n\":4111111111111111.{zeros}}}"), "card"),
        (JSON, format!("{{\"n\":0.{zeros}4111111111111111e116}}"), "card"),
        (JSON, format!("{{\"n\":4.111111111111111e+{zeros}15}}"), "card"),
        (JSON, format!("[\"https://x.test{long}?mail=a@example.com\"]"), "email"),
        (JSON, "[\"a@example.com-2024 b@example.com.1\"]".to_owned(), "email"),
        (FORM, r#"["&q=%7B%22q%22%3A%22%5Cu0049nitech%22%7D&"]"#.to_owned(), "rivals"),
        ("text/html", format!("&#{zeros}73;nitech &#x{zeros}49;nitech"), "rivals"),
        ("application/xml", "<?xml version='1.0' encoding='utf-7' x='utf-8'?><a/>".to_owned(), "! charset"),
        ("application/xml", "<?xml version='1.0' encoding = 'UTF-8'?><a/>".to_owned(), ""),
        // Two headers that arrive as one.
        ("text/plain, application/x-www-form-urlencoded", "q=%49nitech".to_owned(), "! type"),
        ("text/plain;a=b, application/x-www-form-urlencoded", "q=%49nitech".to_owned(), "! type"),
        ("text/plain application/json", "x".to_owned(), "! type"),
        ("multipart/form-data; boundary=XX; boundary*=utf-8''YY", "x".to_owned(), "! type"),
        ("multipart/form-data; boundary*0=X; boundary*1=X", "x".to_owned(), "! type"),
        ("text/plain; charset*=utf-8''utf-7", "x".to_owned(), "! charset"),
    ] {
        assert_eq!(found(content_type, &body), what, "{content_type}: {body}");
    }
    let field = |name: &str, value: &str| multipart(&[(&format!("Content-Disposition: form-data; name=\"{name}\""), value)]);
    assert_eq!(found("multipart/form-data; boundary=XX", field("ssn", "123456789")), "national-id");
    assert_eq!(found("multipart/form-data; boundary=XX", field("password", "hunter2!x")), "secret");
    assert_eq!(found("multipart/form-data; boundary=XX", field("order", "123456789")), "");
}

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
fn a_topic_and_personal_data_are_always_both_found() {
    assert_eq!(found(JSON, r#"["Initech a@example.com"]"#), "email rivals");
    let redacted = filter().redact(&of(JSON), br#"["Initech a@example.com"]"#, &Budget::default()).unwrap();
    assert_eq!(said(Ok(redacted.found)), "email rivals");
}

#[test]
fn compressed_bodies_are_read_and_bounded() {
    let plain = br#"{"q":"\u0049nitech"}"#;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let raw = |bytes: &[u8]| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let br = |mut bytes: &[u8]| {
        let mut out = Vec::new();
        brotli::BrotliCompress(&mut bytes, &mut out, &brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() }).unwrap();
        out
    };
    let zstd = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let scan = |codings: &[&str], body: &[u8]| {
        said(filter().scan(&Media::of(Some(JSON.as_bytes()), codings.iter().map(|coding| coding.as_bytes())), body, &Budget::default()))
    };
    let bomb = vec![b' '; 3 * Filter::MAX_BYTES];
    for (coding, encode) in [
        ("gzip", &gzip as &dyn Fn(&[u8]) -> Vec<u8>),
        ("deflate", &zlib),
        ("deflate", &raw),
        ("br", &br),
        ("zstd", &zstd),
        ("X-GZIP", &gzip),
    ] {
        assert_eq!(scan(&[coding], &encode(plain)), "rivals", "{coding}");
        assert_eq!(scan(&[coding], &[encode(plain), b"x".to_vec()].concat()), "! malformed", "{coding}: what follows is not skipped");
        let cut = encode(plain);
        assert_eq!(scan(&[coding], &cut[..cut.len() / 2]), "! malformed", "{coding}: cut");
        assert_eq!(scan(&[coding], plain), "! malformed", "{coding}: not encoded");
        assert_eq!(scan(&[coding], &encode(&bomb)), "! too_large", "{coding}: bomb");
    }
    assert_eq!(scan(&["gzip, br"], &br(&gzip(plain))), "rivals");
    assert_eq!(scan(&["gzip", "br"], &br(&gzip(plain))), "rivals");
    assert_eq!(scan(&["identity", ""], plain), "rivals");
    assert_eq!(scan(&["gzip, gzip, gzip, gzip"], &gzip(&gzip(&gzip(&gzip(plain))))), "! encoding");
    assert_eq!(scan(&["compress"], plain), "! encoding");
    // Several members are one body (RFC 1952 section 2.2).
    assert_eq!(scan(&["gzip"], &[gzip(br#"{"q":"Ini"#), gzip(br#"tech"}"#)].concat()), "rivals");
    assert_eq!(scan(&["zstd"], &[zstd(br#"{"q":"Ini"#), zstd(br#"tech"}"#)].concat()), "rivals");
    // A frame that asks for a window of 64 MiB before a byte has come out.
    assert_eq!(scan(&["zstd"], &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3, 1, 0, 0]), "! encoding");
    let redacted = filter()
        .redact(&Media::of(Some(JSON.as_bytes()), [b"gzip".as_slice()]), &gzip(br#"["a@example.com"]"#), &Budget::default())
        .unwrap();
    assert_eq!(redacted.body.unwrap(), br#"["[redacted:email]"]"#, "a new body has no coding");
}

#[test]
fn a_path_and_a_query_are_read() {
    let scan = |path, query| said(filter().scan_target(path, query, &Budget::default()));
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

/// Pieces that make sense to a scanner, and such that do not.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a@example.com",
        "4111 1111 1111 1111",
        "4111111111111111",
        "+49 30 901820",
        "GB33BUKB20201555555555",
        "123-45-6789",
        "10.1.2.3",
        "2001:db8::1",
        "AKIAIOSFODNN7EXAMPLE",
        "password=hunter2!x",
        "Initech",
        "price floor",
        "\u{200b}",
        "４",
        " ",
        "-",
        ".",
        ":",
        "/",
        "@",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        "&",
        "%",
        "+",
        "<b>",
        "12",
        "é",
        "[redacted:card]",
        "eyJ",
        "\n",
        "ssn ",
        "1",
    ]);
    prop::collection::vec(prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => ".{0,3}"], 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..300), content_type in prop::sample::select(vec![
        "", JSON, FORM, "text/plain", "text/html", "text/event-stream", "application/x-ndjson", "multipart/form-data; boundary=XX",
        "text/plain; charset=latin1",
    ]), coding in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd"])) {
        let media = Media::of(Some(content_type.as_bytes()), Some(coding.as_bytes()));
        let _ = filter().scan(&media, &body, &Budget::default());
        let _ = filter().redact(&media, &body, &Budget::default());
        let _ = filter().glance(&media, &body, &Budget::default());
    }

    #[test]
    fn redacted_json_is_json_and_holds_nothing_more(texts in prop::collection::vec(text(), 1..6), number in any::<u64>()) {
        let mut object = serde_json::Map::new();
        for (at, text) in texts.iter().enumerate() {
            object.insert(format!("{at}{text}"), serde_json::json!({ "value": text, "n": number, "list": [text, [number]] }));
        }
        let body = serde_json::to_vec(&object).unwrap();
        let filter = filter();
        let found = filter.scan(&of(JSON), &body, &Budget::default()).unwrap();
        let redacted = filter.redact(&of(JSON), &body, &Budget::default()).unwrap();
        prop_assert_eq!(&redacted.found, &found);
        prop_assert_eq!(redacted.body.is_none(), found.pii.is_empty());
        let out = redacted.body.unwrap_or(body);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{}", String::from_utf8_lossy(&out));
        prop_assert!(filter.scan(&of(JSON), &out, &Budget::default()).unwrap().pii.is_empty());
        prop_assert_eq!(filter.redact(&of(JSON), &out, &Budget::default()).unwrap().body, None);
    }

    #[test]
    fn redacted_text_holds_nothing_more(text in text(), content_type in prop::sample::select(vec!["text/plain", FORM, "text/html", "text/event-stream", ""])) {
        let filter = filter();
        let (scanned, redacted) = (filter.scan(&of(content_type), text.as_bytes(), &Budget::default()), filter.redact(&of(content_type), text.as_bytes(), &Budget::default()));
        match redacted {
            Ok(redacted) => {
                prop_assert_eq!(Ok(redacted.found), scanned);
                if let Some(out) = redacted.body {
                    prop_assert!(filter.scan(&of(content_type), &out, &Budget::default()).unwrap().pii.is_empty());
                }
            }
            Err(Unscannable::Unrewritable) => prop_assert!(scanned.is_ok_and(|found| !found.pii.is_empty())),
            Err(why) => prop_assert_eq!(scanned, Err(why)),
        }
    }
}
