//! Documents of every kind, made from a seed: what is to be found and what only looks like it, words that say what a number is, beginnings and
//! parts of all of them, and each in what people hide things with.

use crate::corpus::{ALNUM, Random, negative, positive};
use bulkhead_content::Detector;

/// What documents say they are.
pub(crate) const TYPES: [&str; 8] = [
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "text/html",
    "text/event-stream",
    "multipart/form-data; boundary=b",
    "text/plain; charset=iso-8859-1",
    "application/x-ndjson",
];

/// What stands between, before and behind, and what is a part of something.
const BITS: [&str; 88] = [
    " ",
    " ",
    " ",
    "-",
    ".",
    "/",
    ":",
    "=",
    "@",
    "\n",
    "\r\n",
    "\t",
    "\\",
    "\"",
    "'",
    "%",
    "&",
    "+",
    "(",
    ")",
    "#",
    "://",
    ";",
    ",",
    "::",
    "  ",
    "\\n",
    "%20",
    "&amp;",
    "phone ",
    "tel: ",
    "order ",
    "version ",
    "SSN ",
    "ssn: ",
    "cpf ",
    "pnr ",
    "电话",
    "v",
    "sin ",
    "NIF ",
    "password=",
    "api_key: ",
    "Bearer ",
    "bearer ",
    "Authorization: Basic ",
    "eyJhbGciOiJub25l",
    ".",
    "sk-",
    "sk-proj-",
    "ghp_",
    "AKIA",
    "SG.",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    "-----BEGIN ",
    "http://user:pw@host/",
    "Initech",
    "hooli-corp",
    "HOOLI  CORP",
    "price floor",
    "Margin 12%",
    "Straße 9",
    "竞争对手",
    "é",
    "日本語",
    "привет",
    "한국어",
    "ﬁ",
    "ﷺ",
    "Ⅷ",
    "１２",
    "٣",
    "ı",
    "\u{200b}",
    "\u{301}",
    "край",
    "RSSMRA85T10A562S",
    "RSS MRA 85T10 A562S",
    "AB 12 34 56 C",
    "X1234567L",
    "131052-308T",
    "2001:db8::1",
    "GB33BUKB20201555555555",
    "\u{85}",
    "\u{7}",
    "\u{1f600}",
    "ſ",
];

/// One document of a type.
pub(crate) fn document(content_type: &str, random: &mut Random) -> String {
    let text = |random: &mut Random| {
        let text = text(random);
        disguised(text, random)
    };
    let json = |text: &str| serde_json::Value::from(text).to_string();
    match content_type {
        "application/json" if random.of(0..6) == 0 => {
            let members: Vec<String> = (0..random.of(2..60)).map(|_| member(random, &text)).collect();
            format!("[{}]", members.join(","))
        }
        "application/json" => member(random, &text),
        "application/x-ndjson" => (0..random.of(1..4)).map(|_| member(random, &text) + "\n").collect(),
        "application/x-www-form-urlencoded" => {
            let encode = |text: &str, random: &mut Random| -> String {
                let plain =
                    |byte: u8, random: &mut Random| byte.is_ascii_alphanumeric() || (!b"&=%+".contains(&byte) && random.of(0..3) > 0);
                text.bytes()
                    .map(|byte| if byte < 0x80 && plain(byte, random) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
                    .collect()
            };
            let (one, two) = (text(random), text(random));
            format!("{}={}&b={}", key(random), encode(&one, random), encode(&two, random))
        }
        "text/html" => format!("<p>{}</p><b title=\">\">{}</b>", text(random), text(random).replace('<', "&lt;")),
        "text/event-stream" => format!("event: x\ndata: {}\ndata: {}\n\ndata: {}\n\n", text(random), text(random), member(random, &text)),
        "multipart/form-data; boundary=b" => {
            format!("--b\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n--b--\r\n", key(random), text(random))
        }
        _ if random.of(0..4) == 0 => format!("{{{}: {}}}", json(key(random)), json(&text(random))),
        _ => text(random),
    }
}

fn key<'a>(random: &mut Random) -> &'a str {
    random.one(&["q", "note", "phone", "customerPhone", "password", "api_key", "ssn", "order", "accessToken", "version", "\u{e9}t\u{e9}"])
}

/// An object of JSON: strings, keys, numbers, and strings that hold JSON.
fn member(random: &mut Random, text: &impl Fn(&mut Random) -> String) -> String {
    let json = |text: &str| serde_json::Value::from(text).to_string();
    let escaped = |text: &str| -> String { text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect() };
    let value = match random.of(0..8) {
        0 => format!("{}", random.next() >> random.of(0..60)),
        1 => format!("-{}.{}e{}", random.of(0..90_000), random.digits(3), random.of(0..9)),
        2 => format!("{{{}: 1}}", json(&text(random))),
        3 => format!("\"{}\"", escaped(&text(random))),
        4 => json(&format!("{{{}: {}}}", json(key(random)), json(&text(random)))),
        5 => format!("[{}, {}]", json(&text(random)), json(&text(random))),
        _ => json(&text(random)),
    };
    format!("{{{}: {value}, \"n\": 1.50}}", json(key(random)))
}

fn text(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.of(1..12) {
        match random.of(0..10) {
            0 | 1 => {
                let kind = random.of(0..Detector::ALL.len() as u64) as usize;
                text += &positive(Detector::ALL[kind], random);
            }
            2 => text += &negative(random),
            3 => {
                let length = random.of(1..24) as usize;
                text += &random.text(ALNUM, length);
            }
            4 => {
                let length = random.of(1..17) as usize;
                text += &random.digits(length);
            }
            _ => text += random.one(&BITS),
        }
        if random.of(0..2) == 0 {
            text.push(' ');
        }
    }
    text
}

/// The same in something that a reader undoes, now and then.
fn disguised(text: String, random: &mut Random) -> String {
    let some = |random: &mut Random, how: &dyn Fn(char) -> String| -> String {
        text.chars().map(|one| if random.of(0..6) == 0 { how(one) } else { one.to_string() }).collect()
    };
    match random.of(0..16) {
        0 => some(random, &|one| format!("{one}\u{200b}")),
        1 => some(random, &|one| char::from_u32(u32::from(one) + 0xfee0).filter(|_| one.is_ascii_graphic()).unwrap_or(one).to_string()),
        2 => some(random, &|one| one.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()),
        3 => some(random, &|one| format!("\\u{:04x}", u32::from(one) & 0xffff)),
        4 => some(random, &|one| format!("&#{};", u32::from(one))),
        5 => text.chars().map(|one| "аеосһіοΟρ".chars().find(|_| "aeoi".contains(one)).unwrap_or(one)).collect(),
        6 => base64(text.as_bytes()),
        7 => some(random, &|one| format!("{one}\u{301}")),
        8 => text.replace(' ', "\u{a0}"),
        _ => text,
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let six = |chunk: &[u8], at: usize| {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or_default()));
        char::from(DIGITS[bits >> (18 - 6 * at) & 63])
    };
    bytes.chunks(3).flat_map(|chunk| (0..=chunk.len()).map(move |at| six(chunk, at))).collect()
}
