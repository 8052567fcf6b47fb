//! Names as the original writes them.

use std::borrow::Cow;

/// A key or domain as a part of a name: `:` and `|` are statsd's own and become `_`, and so do the dots of an IPv4 address, which would look like
/// levels of the name. What the original leaves in, and we do not: control characters, with which a descriptor's value could forge a line.
pub(super) fn sanitised(text: &str) -> Cow<'_, str> {
    let forbidden = |c: char| matches!(c, ':' | '|') || c.is_control();
    let has_address = text.as_bytes().windows(2).any(|pair| pair.first().is_some_and(u8::is_ascii_digit) && pair.last() == Some(&b'.'));
    if !has_address && !text.contains(forbidden) {
        return Cow::Borrowed(text);
    }
    let clean: String = text.chars().map(|c| if forbidden(c) { '_' } else { c }).collect();
    Cow::Owned(without_addresses(&clean))
}

/// `\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}`, leftmost first, with its dots replaced.
fn without_addresses(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    while let Some(tail) = text.get(rest..) {
        let Some(c) = tail.chars().next() else { break };
        match address(bytes.get(rest..).unwrap_or_default()) {
            Some(length) => {
                out.push_str(&tail.get(..length).unwrap_or_default().replace('.', "_"));
                rest += length;
            }
            None => {
                out.push(c);
                rest += c.len_utf8();
            }
        }
    }
    out
}

/// The length of the address that bytes begin with.
fn address(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for part in 0..4 {
        if part > 0 {
            if bytes.get(length) != Some(&b'.') {
                return None;
            }
            length += 1;
        }
        let digits = bytes.get(length..)?.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        length += digits;
    }
    Some(length)
}

/// `.__key=value` for each tag, as gostats writes them; `.`, `:` and `|` in a value become `_`.
pub(super) fn tags(tags: &[(String, String)]) -> String {
    let value = |value: &str| value.replace(|c: char| matches!(c, '.' | ':' | '|') || c.is_control(), "_");
    tags.iter().map(|(key, text)| format!(".__{key}={}", value(text))).collect()
}

/// `|#key:value,key:value`, as DogStatsD takes them.
pub(super) fn dog_tags(tags: &[(String, String)]) -> String {
    let value = |value: &str| value.replace(|c: char| matches!(c, ',' | '|') || c.is_control(), "_");
    let pairs: Vec<String> = tags.iter().map(|(key, text)| format!("{key}:{}", value(text))).collect();
    if pairs.is_empty() { String::new() } else { format!("|#{}", pairs.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_originals() {
        for (given, clean) in [
            ("mongo_cps.database_users", "mongo_cps.database_users"),
            ("d.host_a:80|b", "d.host_a_80_b"),
            ("d.remote_address_10.0.0.1", "d.remote_address_10_0_0_1"),
            ("d.ip_1.2.3.4.path", "d.ip_1_2_3_4.path"),
            ("d.version_1.2.3", "d.version_1.2.3"),
            ("d.a_1.22.333.4444", "d.a_1_22_333_4444"),
            ("d.ünï_1.1.1.1", "d.ünï_1_1_1_1"),
            ("d.forged_1\nratelimit.x:9|c", "d.forged_1_ratelimit.x_9_c"),
        ] {
            assert_eq!(sanitised(given), clean, "{given}");
        }
    }

    #[test]
    fn tags_stand_behind_the_name() {
        assert_eq!(tags(&[("a".into(), "x.y".into()), ("b".into(), "z".into())]), ".__a=x_y.__b=z");
    }
}
