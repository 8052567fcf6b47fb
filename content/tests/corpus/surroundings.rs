//! What stands around.

use super::Random;

/// A document that holds a text: as JSON, as a form, as plain text, in several languages.
pub(crate) fn document(text: &str, random: &mut Random) -> (&'static str, String) {
    let before = random.one(&[
        "",
        "",
        "Please note: ",
        "Bitte notieren: ",
        "Merci de noter ",
        "Por favor anote ",
        "Nota bene: ",
        "请记录 ",
        "Обратите внимание: ",
        "見てください ",
        "hello,\nI write because of ",
        "see (",
        "\"",
        "value=",
        "> ",
    ]);
    let after = match before {
        "see (" => ")",
        "\"" => "\"",
        _ => random.one(&["", ".", ", thanks", " danke!", " et merci", "; gracias", "。", " and more text follows here", "\nregards"]),
    };
    let whole = format!("{before}{text}{after}");
    match random.of(0..4) {
        0 => ("application/json", serde_json::json!({ "message": whole, "page": 1 }).to_string()),
        1 => ("application/json", serde_json::json!([{ "a": { "b": [true, whole] } }]).to_string()),
        2 => {
            let encoded: String = whole
                .bytes()
                .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") })
                .collect();
            ("application/x-www-form-urlencoded", format!("page=1&text={encoded}"))
        }
        _ => ("text/plain; charset=utf-8", whole),
    }
}
