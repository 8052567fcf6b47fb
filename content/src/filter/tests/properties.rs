//! What holds of every body, whatever is in it.

use proptest::prelude::*;

use super::*;

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
