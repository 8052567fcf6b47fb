//! Bad input: whatever a client can put into a RateLimitRequest is answered or refused with a clear status, and never OK for nothing (S9).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bulkhead_proto::pb::{
    envoy::{
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::RateLimitOverride},
        service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code},
    },
    google::protobuf::UInt64Value,
};
use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    levels::Levels,
    store::{Ledger, Micros, Store, StoreError, memory::MemoryStore},
};
use bulkhead_tenancy::clock::ManualClock;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use prost::Message;

use crate::{
    support::{own_keys, valkey::Server},
    world::{World, code, entries},
};

/// Remembers what it was asked last, and what it answered.
struct Spy {
    store: Box<dyn Store>,
    last: Mutex<Option<(Ask, Answer)>>,
}

#[async_trait]
impl Store for Spy {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        let answers = self.store.decide(now, asks).await?;
        *self.last.lock().unwrap() = asks.first().cloned().zip(answers.first().cloned());
        Ok(answers)
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "tenant", "subscription", "api", "decision", "acme", "globex", "initech", "broken", "s-01", "billing-api", "stopped-api",
            "__none__", "__unresolved__", "platform", "", "}", "{4:acme}", "\0",
        ]).prop_map(str::to_owned),
        2 => "\\PC{0,12}",
        1 => any::<String>(),
        1 => (1_usize..50_000).prop_map(|bytes| "k".repeat(bytes)),
    ]
}

fn hits() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..4, 1 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(1 << 53), 1 => Just(u64::from(u32::MAX))]
}

fn descriptor() -> impl Strategy<Value = RateLimitDescriptor> {
    let contract = (text(), text(), text())
        .prop_map(|(tenant, subscription, api)| entries(&[("tenant", &tenant), ("subscription", &subscription), ("api", &api)]));
    let any_entries = vec((text(), text()), 0..6)
        .prop_map(|pairs| entries(&pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>()));
    let limit = prop::option::weighted(0.2, (any::<u32>(), any::<i32>()));
    (prop_oneof![3 => contract, 1 => any_entries], prop::option::of(hits()), prop::bool::weighted(0.03), limit).prop_map(
        |(descriptor, own, is_negative_hits, limit)| RateLimitDescriptor {
            hits_addend: own.map(|value| UInt64Value { value }),
            is_negative_hits,
            limit: limit.map(|(requests_per_unit, unit)| RateLimitOverride { requests_per_unit, unit }),
            ..descriptor
        },
    )
}

fn request() -> impl Strategy<Value = RateLimitRequest> {
    let descriptors = prop_oneof![
        8 => vec(descriptor(), 0..4),
        2 => vec(descriptor(), 0..16),
        1 => (1_000_usize..5_000).prop_map(|times| vec![entries(&[("tenant", "acme")]); times]),
    ];
    let made = (prop_oneof![9 => Just("bulkhead".to_owned()), 1 => text()], descriptors, prop_oneof![3 => 0_u32..3, 1 => any::<u32>()])
        .prop_map(|(domain, descriptors, hits_addend)| RateLimitRequest { domain, descriptors, hits_addend });
    // What is decoded from bytes that were changed on the way.
    let bent =
        (made.clone(), vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)).prop_filter_map("no request", |(request, changes)| {
            let mut bytes = request.encode_to_vec();
            for (at, byte) in changes {
                if let Some(place) = (!bytes.is_empty()).then(|| at.index(bytes.len())) {
                    bytes[place] = byte;
                }
            }
            RateLimitRequest::decode(bytes.as_slice()).ok()
        });
    prop_oneof![4 => made, 1 => bent]
}

/// What each descriptor costs; of none at all, the request's hits.
fn costs(request: &RateLimitRequest) -> Vec<u64> {
    let hits = u64::from(request.hits_addend.max(1));
    match request.descriptors.as_slice() {
        [] => vec![hits],
        all => all.iter().map(|one| one.hits_addend.as_ref().map_or(hits, |own| own.value)).collect(),
    }
}

fn every_request_is_answered_or_refused(store: Box<dyn Store>, clock: ManualClock, runtime: &tokio::runtime::Runtime, cases: u32) {
    let spy = Arc::new(Spy { store, last: Mutex::default() });
    let world = runtime
        .block_on(async { World::over(Arc::<Spy>::clone(&spy), Levels::new(own_keys()), clock, std::time::Duration::from_secs(20)) });
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let admitted = std::cell::Cell::new(0_u32);
    let tested = runner.run(&request(), |request| {
        world.clock.advance_us(20_000_000);
        *spy.last.lock().unwrap() = None;
        let answer = runtime.block_on(world.ask(request.clone()));
        let last = spy.last.lock().unwrap().take();
        match answer {
            Err(status) => {
                prop_assert!(status.code() == tonic::Code::InvalidArgument, "{status}");
                prop_assert!(status.message().len() < 200 && last.is_none(), "nothing of the request is repeated, and nothing was charged");
            }
            Ok(answer) => {
                let (ask, decided) = last.expect("an answer that no store was asked for");
                let charged: Vec<u64> = ask.charge.parts().iter().map(|part| part.cost()).collect();
                prop_assert_eq!(charged, costs(&request), "every descriptor pays its own cost");
                prop_assert!(ask.charge.parts().iter().all(|part| part.shape().levels().len() >= 2), "global, and somebody who pays");
                prop_assert_eq!(answer.statuses.len(), request.descriptors.len().max(1));
                prop_assert_eq!(code(&answer) == Code::Ok, decided.admitted == 1);
                admitted.set(admitted.get() + decided.admitted);
            }
        }
        Ok(())
    });
    tested.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(admitted.get() > 0, "requests were admitted too");
}

#[test]
fn s9_every_request_is_answered_or_refused_on_the_memory_store() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = ManualClock::at_us(1_700_000_000_000_000);
    every_request_is_answered_or_refused(Box::new(MemoryStore::new(Arc::new(clock.clone()))), clock, &runtime, 1_000);
}

#[test]
fn s9_every_request_is_answered_or_refused_on_the_real_store() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::get();
    let store = runtime.block_on(server.store());
    every_request_is_answered_or_refused(Box::new(store), ManualClock::at_us(1_700_000_000_000_000), &runtime, 300);
}
