//! How long a caller waits: gRPC's own `grpc-timeout`, which Envoy sends with every call.

use std::time::Duration;

use http::HeaderName;
use tonic::metadata::MetadataMap;

/// Its header, read once and not for each call.
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The caller's time-out (gRPC over HTTP/2, "Timeout": at most eight digits and a unit); none where it states none, or one that does not read.
#[must_use]
pub fn of_call(metadata: &MetadataMap) -> Option<Duration> {
    parse(metadata.as_ref().get(TIMEOUT)?.to_str().ok()?)
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_reads() {
        for (text, nanoseconds) in
            [("1H", 3_600_000_000_000), ("1M", 60_000_000_000), ("2S", 2_000_000_000), ("3m", 3_000_000), ("4u", 4_000), ("5n", 5)]
        {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    }

    #[test]
    fn what_is_no_timeout_is_none() {
        for text in ["", "m", "20", "20x", "-1m", "123456789m", "1 m", "2é"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(of_call(&MetadataMap::new()), None);
    }
}
