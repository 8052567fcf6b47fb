use std::sync::Mutex;

use async_trait::async_trait;
use bulkhead_tenancy::{clock::SystemClock, limit::RateLimit};

use super::*;
use crate::{
    ask::Answer,
    bucket::Bucket,
    charge::{Scope, Shape},
    key::Keyspace,
    store::{Ledger, Micros, away::Away, memory::MemoryStore},
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

/// A store that holds tokens in advance, and is away.
struct Holding(Charge);

#[async_trait]
impl Store for Holding {
    async fn decide(&self, _: Option<Micros>, _: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        Err(StoreError::Away)
    }

    fn in_hand(&self, charge: &Charge) -> InHand {
        let store = MemoryStore::new(Arc::new(SystemClock));
        InHand { requests: 7, answer: (*charge == self.0).then(|| store.answer(None, &Ask::one(charge.clone()))) }
    }

    fn ledger(&self) -> &dyn Ledger {
        &Away
    }
}

#[tokio::test]
async fn a_look_answers_from_what_is_held_in_advance_and_else_as_the_store_or_the_failure_mode_would() {
    let key = Keyspace::default().tenant(&"acme".parse().unwrap());
    let charge = |leased: bool, cost| {
        let shape = Shape::new().hold(Scope::Tenant, key.clone(), Bucket::token(RateLimit::per_minute(60, 1.0)));
        Charge::of(Arc::new(if leased { shape.leased(2) } else { shape }), cost)
    };
    let limiter = Limiter::new(Arc::new(Holding(charge(true, 1))), Arc::new(SystemClock), Duration::from_secs(1));
    let closed = Fallback { mode: StoreFailure::Closed, replicas: 1 };
    let look = limiter.look(&charge(true, 1), closed).await;
    assert!(matches!(&look.ruling, Ruling::Exact(outcome) if outcome.verdict() == Verdict::Admitted), "{look:?}");
    assert_eq!(look.held, Some(7));
    for (charge, held) in [(charge(true, 2), Some(7)), (charge(false, 2), None)] {
        assert_eq!(limiter.look(&charge, closed).await, Look { ruling: Ruling::Unavailable, held });
    }
    let local = Fallback { mode: StoreFailure::Local, replicas: 2 };
    for (cost, admitted) in [(30, true), (31, false), (30, true)] {
        let Ruling::Local(outcome) = limiter.look(&charge(false, cost), local).await.ruling else { panic!("not by the share") };
        assert_eq!(outcome.verdict() == Verdict::Admitted, admitted, "a look takes nothing of the share");
    }
}
