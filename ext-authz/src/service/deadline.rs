//! How long a decision may take: less than Envoy waits, so that a late denial is still ours and not Envoy's `status_on_error`.

use std::time::Duration;

use bulkhead_doors::deadline::of_call;
use tonic::metadata::MetadataMap;

/// Where the caller states no time-out, or one that nobody waits for (Istio's default is 600 s).
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// What is left for the answer's way back, at the most.
const WAY_BACK: Duration = Duration::from_millis(20);

/// The time for one decision, from `grpc-timeout`: a fifth of it, 20 ms at the most, is left for the way back.
pub(super) fn patience(metadata: &MetadataMap) -> Duration {
    of_call(metadata).map_or(LONGEST, |timeout| timeout.saturating_sub((timeout / 5).min(WAY_BACK)).min(LONGEST))
}

/// The part of a decision's time that may go by until somebody is proven: what follows takes far less than the rest.
pub(super) fn of_proof(patience: Duration) -> Duration {
    patience.saturating_sub((patience / 5).min(WAY_BACK))
}

/// The part of a decision's time that may go by until it is judged, its limits too: a guardrail that is late then denies by name, and not the time-out
/// further out, which knows nothing of the tenant.
pub(super) fn of_verdict(patience: Duration) -> Duration {
    patience.saturating_sub((patience / 10).min(WAY_BACK / 2))
}

/// The part of a decision's time that is kept for the store where limits are charged here: what it may take, and a quarter at the most. Else a tenant whose own
/// rules or keys take long could have its limits decided by its failure mode, which may be `open` (S9).
pub(super) fn of_limits(patience: Duration, store: Duration) -> Duration {
    store.min(patience / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(timeout: &'static str) -> Duration {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", timeout.parse().unwrap());
        patience(&metadata)
    }

    #[test]
    fn a_decision_ends_before_envoy_stops_waiting() {
        assert_eq!(of("250m"), Duration::from_millis(230));
        assert_eq!(of("50000u"), Duration::from_millis(40));
        assert_eq!(of("1S"), Duration::from_millis(980));
        assert_eq!(of("600S"), LONGEST);
        assert_eq!(of("99999999H"), LONGEST);
        assert_eq!(of("250x"), LONGEST);
        assert_eq!(patience(&MetadataMap::new()), LONGEST);
    }

    #[test]
    fn s9_however_long_it_is_judged_the_store_has_its_time() {
        for patience in [16, 40, 230, 980, 5000].map(Duration::from_millis) {
            for store in [1, 20, 2000].map(Duration::from_millis) {
                let kept = of_limits(patience, store);
                let judged = of_verdict(patience - kept);
                assert!(of_proof(patience - kept) < judged);
                assert!(of_verdict(patience).checked_sub(judged).unwrap() >= kept.mul_f64(0.9), "{patience:?} {store:?}");
                assert!(kept >= store.min(patience / 4));
            }
        }
    }
}
