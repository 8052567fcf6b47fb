//! The caller's own deadline.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// How long a decision may take: three quarters of the call's `grpc-timeout`, so that an answer (the failure mode's, if need be) is back
/// before Envoy gives up and answers by its own.
pub(super) fn budget(metadata: &MetadataMap) -> Option<Duration> {
    let timeout = parse(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Some(timeout.mul_f64(0.75))
}

/// gRPC over HTTP/2, `Timeout`: at most eight digits and a unit.
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
    fn a_decision_has_three_quarters_of_the_calls_deadline() {
        let mut metadata = MetadataMap::new();
        assert_eq!(budget(&metadata), None);
        metadata.insert("grpc-timeout", "20m".parse().unwrap());
        assert_eq!(budget(&metadata), Some(Duration::from_millis(15)));
    }

    #[test]
    fn what_is_no_timeout_is_none() {
        for text in ["", "m", "20", "20x", "-1m", "123456789m", "2é"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    }
}
