//! What the limiter reads: requests of Envoy, addresses of stores, hours of bills.

use std::{
    cell::OnceCell,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bulkhead_doors::{grpc::Unread, metrics::Metrics};
use bulkhead_proto::pb::envoy::service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code};
use bulkhead_ratelimit::{
    levels::Levels,
    limiter::Limiter,
    metering::hours::{Hours, MOST},
    rls::Rls,
    store::{Micros, memory::MemoryStore, redis::address::StoreAddress},
};
use bulkhead_tenancy::{
    clock::{ManualClock, SystemClock},
    snapshot::Live,
};
use prost::Message as _;
use tonic::{Code as Grpc, Request};

/// A service over the memory store, and what runs it.
struct Service {
    runtime: tokio::runtime::Runtime,
    rls: Rls,
    clock: ManualClock,
}

impl Service {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let clock = ManualClock::at_us(1_700_000_000_000_000);
        let live = Live::default();
        live.publish(crate::contract::snapshot("").expect("the operator's files are good"));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        let limiter = Arc::new(Limiter::new(store, Arc::new(SystemClock), Duration::from_secs(20)));
        let metrics = Metrics::with_tenant_series(10).expect("metrics");
        Self { runtime, rls: Rls::new(live, Levels::default(), limiter, &metrics), clock }
    }
}

thread_local! {
    static SERVICE: OnceCell<Service> = const { OnceCell::new() };
}

/// Every request that decodes is answered OK or over limit, with a status for each descriptor, or refused with a clear status; never with the code that Envoy
/// lets through, and never OK for more than the platform holds (S9). What does not decode is an error.
pub(crate) fn rls(data: &[u8]) {
    let decoded = RateLimitRequest::decode(data);
    let is_one = decoded.is_ok();
    let request = decoded.unwrap_or_default();
    let (descriptors, hits) = (request.descriptors.len(), u64::from(request.hits_addend));
    let least = request.descriptors.iter().map(|one| one.hits_addend.as_ref().map_or(hits.max(1), |own| own.value)).max();
    SERVICE.with(|service| {
        let Service { runtime, rls, clock } = service.get_or_init(Service::start);
        clock.advance_us(50_000);
        match runtime.block_on(rls.answer(Request::new(Unread(data.to_vec().into())))) {
            Ok(answer) => {
                assert!(is_one, "what is no request was answered");
                let answer = answer.into_inner().read().expect("an answer");
                let code = Code::try_from(answer.overall_code).expect("a code of the enumeration");
                assert!(matches!(code, Code::Ok | Code::OverLimit), "{code:?}");
                // Without a descriptor it is the unresolved bucket that answers.
                assert_eq!(answer.statuses.len(), descriptors.max(1));
                assert!(code == Code::OverLimit || least.is_none_or(|least| least <= 600), "more than the platform holds was admitted");
            }
            Err(status) if is_one => assert!(matches!(status.code(), Grpc::InvalidArgument | Grpc::Unavailable), "{status:?}"),
            Err(status) => assert_eq!(status.code(), Grpc::Internal, "{status:?}"),
        }
    });
}

/// An address that is refused is not repeated, and of one that is taken no password is shown (S16).
pub(crate) fn address(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    match text.parse::<StoreAddress>() {
        Ok(address) => {
            let password = address.login.password.as_ref().map(|password| secrecy::ExposeSecret::expose_secret(password).to_owned());
            // A user's name may hold the same text, in an encoding of its own, and is shown.
            let named = |password: &String| address.login.user.as_ref().is_some_and(|user| user.contains(password.as_str()));
            let elsewhere = |password: &String| text.matches(password.as_str()).count() > 1 || named(password);
            if let Some(password) = password.filter(|password| password.len() > 12 && !elsewhere(password)) {
                assert!(!format!("{address:?}").contains(&password));
            }
        }
        Err(why) => {
            let long = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| word.len() > 16);
            let said = why.to_string();
            long.for_each(|word| assert!(!said.contains(word), "{said}"));
        }
    }
}

static NOW: LazyLock<Micros> = LazyLock::new(|| Micros(1_795_323_601_234_567));

/// Hours that are taken are some, and no more than one call may ask for.
pub(crate) fn hours(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    let (from, to) = text.split_once('\n').map_or((Some(text), None), |(from, to)| (Some(from), Some(to)));
    if let Ok(hours) = Hours::read(from, to, *NOW) {
        let count = hours.count();
        assert!((1..=MOST).contains(&count), "{count} hours");
    }
}
