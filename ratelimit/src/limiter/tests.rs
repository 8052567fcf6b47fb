use std::sync::Mutex;

use async_trait::async_trait;
use bulkhead_tenancy::{clock::SystemClock, limit::RateLimit};

use super::*;
use crate::{
    ask::Answer,
    bucket::Bucket,
    charge::Scope,
    key::Keyspace,
    store::{Ledger, Micros, away::Away},
};

/// A store that never answers whom it is asked about, and once answered another decision of that payer, just after it was asked.
struct Flooded(Mutex<Option<Instant>>);

#[async_trait]
impl Store for Flooded {
    async fn decide(&self, _: Option<Micros>, _: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        *self.0.lock().unwrap() = Some(Instant::now());
        std::future::pending().await
    }

    fn stood_behind_own(&self, _: &Charge, since: Instant) -> bool {
        self.0.lock().unwrap().is_some_and(|at| at >= since)
    }

    fn ledger(&self) -> &dyn Ledger {
        &Away
    }
}

#[tokio::test]
async fn s12_however_long_a_call_takes_what_waited_behind_its_payers_own_is_not_let_through_by_open() {
    let limiter = Limiter::new(Arc::new(Flooded(Mutex::default())), Arc::new(SystemClock), Duration::from_millis(20));
    let key = Keyspace::default().tenant(&"acme".parse().unwrap());
    let charge = Charge::new().hold(Scope::Tenant, key, Bucket::token(RateLimit::per_minute(60, 1.0)), 1);
    let fallback = Fallback { mode: StoreFailure::Open, replicas: 1 };
    assert_eq!(limiter.decide(&charge, fallback, None).await, Ruling::Unavailable);
}
