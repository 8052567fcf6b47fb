//! Documents that are made to cost as much as they can, for every detector, phrases and patterns.

use bulkhead_content::{Detector, Filter, TopicMatcher, Topics};

/// A document: what it is for, its type, and what it is made of again and again.
pub(crate) type Hostile = (&'static str, &'static str, &'static str);

/// The costliest that are known, each for something that a detector does at some places.
pub(crate) const DOCUMENTS: [Hostile; 27] = [
    ("numbers of two digits", "text/plain", "12 "),
    ("numbers of three digits", "text/plain", "123-"),
    ("numbers of one digit", "text/plain", "1 "),
    ("numbers in a row of eight", "text/plain", "12 34 56 78 90 12 34 56x "),
    ("cues before numbers", "text/plain", "tel sin nif v 123456789 "),
    ("words that may be an id", "text/plain", "A1 "),
    ("heads of IBANs", "text/plain", "DE12 "),
    ("addresses", "text/plain", "a@b-1-1-1-1-1.c-1-1-1-1-1."),
    ("hosts", "text/plain", "@1-1-1-1-1-1-1-1-1-1-1-1-1-1-1"),
    ("hexadecimal", "text/plain", "1.2.3.4:"),
    ("colons", "text/plain", "a::"),
    ("names of secrets", "text/plain", "pwd1xy="),
    ("bearers", "text/plain", "Bearer "),
    ("authorities", "text/plain", "a://b:c@"),
    ("begins of keys", "text/plain", "ya29.-"),
    ("begins of tokens", "text/plain", "eyJ."),
    ("begins of PEM", "text/plain", "-----BEGIN "),
    ("words of a topic", "text/plain", "a "),
    ("letters of a pattern", "text/plain", "xab"),
    ("backslashes", "text/plain", "\\\\\\\\\\\\\\\\1"),
    ("letters that fold to many", "text/plain", "\u{fdfa}                                    "),
    ("tags", "text/html", "<1>&#49;"),
    ("references", "text/html", "&#0000000000000000000000000000"),
    ("small values", "application/json", "1,"),
    ("small strings", "application/json", "\"a1\","),
    ("strings of JSON", "application/json", r#""[\"[\\\"[1]\\\"]\"]","#),
    ("pairs", "application/x-www-form-urlencoded", "a=%31&"),
];

/// About so many bytes of a document.
pub(crate) fn document((_, content_type, piece): Hostile, bytes: usize) -> String {
    let filling = piece.repeat(bytes / piece.len());
    match content_type {
        "application/json" => format!("[{filling}0]"),
        _ => filling,
    }
}

/// Everything is looked for, and topics are as large as they may be.
pub(crate) fn filter() -> Filter {
    let phrases: Vec<String> =
        (1..120).map(|length| format!("{}b", "a ".repeat(length))).chain((1..120).map(|length| "a ".repeat(length) + "a")).collect();
    let patterns: Vec<String> = (0..6).map(|at| format!("x(?:a|b|ab){{1,60}}{at}$")).collect();
    let topics = [
        ("phrases".to_owned(), TopicMatcher { phrases, patterns: Vec::new() }),
        ("patterns".to_owned(), TopicMatcher { phrases: Vec::new(), patterns }),
    ];
    Filter::new(Detector::ALL.into(), Topics::compile(topics.into()).unwrap_or_default())
}
