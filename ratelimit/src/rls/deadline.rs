//! The caller's own deadline.

use std::time::Duration;

use bulkhead_doors::deadline::of_call;
use tonic::metadata::MetadataMap;

/// How long a decision may take: three quarters of the call's `grpc-timeout`, so that an answer (the failure mode's, if need be) is back
/// before Envoy gives up and answers by its own.
pub(crate) fn budget(metadata: &MetadataMap) -> Option<Duration> {
    Some(of_call(metadata)?.mul_f64(0.75))
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
}
