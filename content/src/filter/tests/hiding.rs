//! What does not hide: however it is written, and whichever parser reads it.

use super::*;

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
        // What parts words for machines, and says words to them, where people see nothing.
        (JSON, r#"{"q":"Hooli\fCorp"}"#),
        (JSON, r#"{"q":"Hooli\u000bCorp"}"#),
        ("text/plain", "Hooli\u{c}Corp"),
        ("text/plain", "Hooli\u{1f}\u{b}Corp"),
        ("text/plain", r"Hooli\fCorp"),
        (JSON, r#"{"q":"Ini\u000ctech"}"#),
        ("text/plain", "ask \u{e0049}\u{e006e}\u{e0069}\u{e0074}\u{e0065}\u{e0063}\u{e0068}"),
        (JSON, "{\"q\":\"Ini\u{e0074}ech\"}"),
        // Lines that go on, and characters by their number.
        ("text/plain", "Ini\\\r\ntech"),
        ("text/plain", "Ini\\\n    tech"),
        ("text/plain", "Hooli\\\n    Corp"),
        ("text/plain", r"\111nitech"),
        // A `+` in what is a form or an address to whoever reads it.
        ("", "a=1&q=hooli+corp"),
        ("", "a=%48ooli+%43orp"),
        (JSON, r#"{"url":"https://x.example/?q=hooli+corp"}"#),
        (FORM, "u=https%3A%2F%2Fx.example%2F%3Fq%3Dhooli%2Bcorp"),
        // Marks of Markdown, and references by name as browsers read them.
        ("text/plain", "**hooli** *corp*"),
        ("text/html", "Ini&lrm;tech"),
        ("text/html", "Ini&shytech"),
        ("text/html", "Hooli&ThinSpace;Corp"),
        ("text/html", "Hooli&nbspCorp"),
        ("text/html", "Hooli&#150;Corp"),
        ("text/html", "STRA&szlig;E 9"),
        ("text/plain", "STRA\u{1e9e}E 9"),
        // Markup in what is none.
        (JSON, r#"{"html":"In<b>itech</b>"}"#),
        (JSON, r#"{"html":"<p>Hooli</p><p>Corp</p>"}"#),
        (JSON, r#"{"html":"Ini<![CDATA[tech]]>"}"#),
        (FORM, "html=In%3Cb%3Eitech%3C%2Fb%3E"),
        ("", "<a>Ini<!-- -->tech</a>"),
        // UTF-8, whatever it is said to be.
        ("text/plain; charset=iso-8859-1", "Ini\u{200b}tech"),
        ("text/csv; charset=windows-1252", "1;我们的竞争对手很强"),
        // Tags that part words, and those that do not.
        ("text/html", "Hooli<br>Corp"),
        ("text/html", "<p>Hooli</p><p>Corp</p>"),
        ("text/html", "<td>Hooli</td ><td a='>'>Corp</td>"),
        ("application/xml", "<a><b>Hooli</b><b>Corp</b></a>"),
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
    let scan = |path: &str, query| target(&filter, path, query);
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
fn the_name_of_an_element_says_what_is_in_it() {
    for body in [
        "<password>S3cretPassw0rd99</password>",
        "<a><ns:password type=\"x>y\">S3cretPassw0rd99</ns:password></a>",
        "<a><b/>text<Password>S3cretPassw0rd99</Password></a>",
    ] {
        assert_eq!(found("application/xml", body), "secret", "{body}");
        let redacted = filter().redact(&of("application/xml"), body.as_bytes(), &Budget::default()).unwrap().body.unwrap();
        let expected = body.replace("S3cretPassw0rd99", "[redacted:secret]");
        assert_eq!(String::from_utf8(redacted).unwrap(), expected);
    }
    for body in ["<name>S3cretPassw0rd99</name>", "<password>S3cretPassw0rd99</other>", "<password/>S3cretPassw0rd99", "<", "<password>"] {
        assert_eq!(found("application/xml", body), "", "{body}");
    }
}

#[test]
fn a_form_that_names_another_charset_in_a_field_is_not_read() {
    assert_eq!(found(FORM, "_charset_=utf-7&a=jane.doe%2BAEA-example.com"), "! charset");
    assert_eq!(found(FORM, "a=1&%5Fcharset_=UTF-16"), "! charset");
    assert_eq!(found(FORM, "_charset_=UTF-8&a=a%40example.com"), "email");
    let part = |charset: &str| format!("--x\r\ncontent-disposition: form-data; name=\"_charset_\"\r\n\r\n{charset}\r\n--x--\r\n");
    assert_eq!(found("multipart/form-data; boundary=x", part("utf-7")), "! charset");
    assert_eq!(found("multipart/form-data; boundary=x", part("utf-8")), "");
}

#[test]
fn names_are_folded_as_text_is() {
    for (content_type, body, kind) in [
        (JSON, r#"{"m\u00f3vil":"612345678"}"#, "phone"),
        (JSON, "{\"tel\u{e9}fono\":\"612345678\"}", "phone"),
        (JSON, "{\"contrase\u{f1}a\":\"S3cretPassw0rd99\"}", "secret"),
        (FORM, "contrase%C3%B1a=S3cretPassw0rd99", "secret"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\ncontent-disposition: form-data; name=\"m\u{f3}vil\"\r\n\r\n612345678\r\n--x--\r\n",
            "phone",
        ),
        ("", "<!DOCTYPE a [<!ENTITY e \"tech\">]><a>Ini&e;</a>", "! malformed"),
        ("text/plain", "<?xml version=\"1.0\" encoding=\"utf-7\"?><a>+AEk-nitech</a>", "! charset"),
        (JSON, "{\"\u{ff53}\u{ff53}\u{ff4e}\":\"536228726\"}", "national-id"),
        (JSON, "{\"\u{ff30}assword\":\"S3cretPassw0rd99\"}", "secret"),
    ] {
        assert_eq!(found(content_type, body), kind, "{body}");
    }
}

#[test]
fn an_apostrophe_is_one_however_it_is_typed() {
    let topic = TopicMatcher { phrases: vec!["O'Neil".to_owned()], patterns: Vec::new() };
    let filter = Filter::new([].into(), Topics::compile([("people".to_owned(), topic)].into()).unwrap());
    for text in ["O'Neil", "O\u{2019}Neil", "o\u{2bc}neil", "O&rsquo;Neil", "O&#8217;Neil"] {
        assert_eq!(said(filter.scan(&of("text/html"), text.as_bytes(), &Budget::default())), "people", "{text}");
    }
}
