//! How the original reads a variable's text: Go's booleans, integers and durations, and its lists of pairs.

use std::{collections::BTreeMap, time::Duration};

/// `1`, `t`, `true`, `True`, `TRUE`, and the same of false.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A whole number, also as `0x1f`, `0b11`, `0o17` or `017`, with `_` between digits after such a prefix.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    let wrong = || "must be a whole number".to_owned();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let digits = if radix == 10 { digits.to_owned() } else { digits.replace('_', "") };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return Err(wrong());
    }
    let number = i64::from_str_radix(&digits, radix).map_err(|_| wrong())?;
    Ok(if negative { -number } else { number })
}

/// A duration: `10s`, `1h30m`, `150us`, `1.5s`, `0`. Negative ones are refused: no setting has a use for one.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a duration such as 150us, 10s or 1h30m".to_owned();
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        total += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(wrong()),
            };
        rest = after;
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

/// `key:value,key:value`; nothing but blanks is no pair.
pub(super) fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    text.split(',')
        .map(|pair| match pair.split_once(':') {
            Some((key, value)) if !value.contains(':') => Ok((key.to_owned(), value.to_owned())),
            _ => Err("must be key:value,key:value".to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("8081", Some(8081)),
            ("-3", Some(-3)),
            ("+3", Some(3)),
            ("0x1F", Some(31)),
            ("0b101", Some(5)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0x1_F", Some(31)),
            ("", None),
            ("-", None),
            ("0x", None),
            ("1_000", None),
            ("08", None),
            ("--1", None),
            ("1.5", None),
            ("9223372036854775808", None),
        ] {
            assert_eq!(integer(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            ("10s", Some(Duration::from_secs(10))),
            ("1h30m", Some(Duration::from_secs(5400))),
            ("150us", Some(Duration::from_micros(150))),
            ("150µs", Some(Duration::from_micros(150))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("24h", Some(Duration::from_secs(86_400))),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1d", None),
            ("1s ", None),
        ] {
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", digits in "[-+0-9xbo_.hmsun]*") {
            for text in [text, digits] {
                let _ = (boolean(&text), integer(&text), duration(&text), pairs(&text));
            }
        }
    }
}
