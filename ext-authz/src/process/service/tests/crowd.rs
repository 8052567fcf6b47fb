//! Many streams of events of one tenant at once.

use super::*;
use crate::{
    offload::Room,
    process::content::OfPolicy,
    purse::{Allowance, Purse},
    route,
};

/// More than there is room for in the tenant's lane.
const STREAMS: usize = 200;

fn service_in(offload: Offload) -> ProcessService {
    let live = Live::default();
    live.publish(fixture::own());
    let clock = ManualClock::at_us(NOW_S * 1_000_000);
    ProcessService::new(live, Arc::new(clock), Arc::new(offload), Duration::from_secs(30), Arc::new(Notes::default()))
}

/// A plan of a tenant whose answers are looked into for personal data and topics.
fn looking(tenant: &str) -> Plan {
    let filter =
        "contentFilter: { apply: [response], piiDetection: block, blockedTopics: [rivals], topics: { rivals: { phrases: [Initech] } } }";
    let snapshot = fixture::guarded(filter);
    let reader = OfPolicy::at(Side::Response, route::policy(snapshot.tenant("globex").unwrap()).unwrap()).unwrap();
    of(tenant, plan_with(reader, Process::Response))
}

fn of(tenant: &str, plan: Plan) -> Plan {
    let tenant = Arc::clone(fixture::own().tenant(tenant).unwrap());
    Plan { policy: route::policy(&tenant).unwrap().hash().clone(), tenant, ..plan }
}

/// What is answered to an event of a stream, each of these in a stream of its own, all at once.
async fn answered(service: &ProcessService, plan: &Plan, events: impl IntoIterator<Item = &str>) -> Vec<i32> {
    let streams = events.into_iter().map(|event| {
        let mut answers = stream_of(service, plan.clone(), event);
        async move {
            for _ in 0..2 {
                assert_eq!(status(&answers.next().await.unwrap()), 0);
            }
            status(&soon(answers.next()).await.unwrap())
        }
    });
    futures::future::join_all(streams).await
}

const PLENTY: Allowance = Allowance { a_second: Duration::from_secs(100), saved: Duration::from_secs(100) };
const NO_PLACES: Room = Room { places: 4, each: 1, waiting: 0, queued: 0, ahead: 0, at_once: PLENTY };
/// No places, and all the time to do at once what is small.
fn without_places() -> Offload {
    Offload::new(NO_PLACES).sharing(Arc::new(Purse::full(PLENTY)))
}

const NUMBERS: &str = "12 ";

#[tokio::test]
async fn s5_small_events_take_no_place_and_what_is_in_them_is_denied_as_in_any_other() {
    let service = service_in(without_places());
    let plan = looking("acme");
    assert_eq!(answered(&service, &plan, [r#"data: {"text":"small"}"#; STREAMS]).await, [0; STREAMS]);
    assert_eq!(answered(&service, &plan, ["data: Initech", "data: a@example.com"]).await, [403, 403]);
    // What looks small and eats what may be taken at once needs a place.
    let costly = format!("data: {}", NUMBERS.repeat(1_000));
    assert_eq!(answered(&service, &plan, [costly.as_str()]).await, [503]);
    assert_eq!(answered(&service_in(Offload::default()), &plan, [costly.as_str(), &format!("{costly} a@example.com")]).await, [0, 403]);
}

#[tokio::test]
async fn s5_events_that_need_a_place_wait_for_it_and_keep_no_other_tenant_waiting() {
    let service = service_in(Offload::with_places(4));
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let slow = Doing(move || {
        let _open = gate.lock().unwrap().recv();
        Ok(Reading::default())
    });
    let slow = plan_with(slow, Process::Response);
    let uid = slow.tenant.uid.clone();
    let crowd = answered(&service, &slow, ["data: 1"; STREAMS]);
    let other = async {
        let others = soon(async {
            // All that are too many for the lane wait beside it.
            while service.processor.offload.queued(&uid) < STREAMS - 64 {
                tokio::task::yield_now().await;
            }
            let costly = format!("data: {}", NUMBERS.repeat(1_000));
            answered(&service, &looking("globex"), [costly.as_str(), "data: 1"]).await
        });
        let others = others.await;
        drop(open);
        others
    };
    let (crowd, others) = futures::join!(crowd, other);
    assert_eq!(others, [0, 0]);
    assert_eq!(crowd, [0; STREAMS]);
}

#[tokio::test]
async fn s5_whose_streams_have_spent_its_time_has_small_events_read_in_its_places_and_no_other_tenant_does() {
    let service = service_in(without_places());
    let (acme, globex) = (looking("acme"), looking("globex"));
    service.processor.offload.exhaust(&acme.tenant.uid);
    assert_eq!(answered(&service, &acme, ["data: 1"]).await, [503], "there are no places here");
    assert_eq!(answered(&service, &globex, ["data: 1"; STREAMS]).await, [0; STREAMS]);
    // Where there are, nobody is told the difference.
    let service = service_in(Offload::default());
    service.processor.offload.exhaust(&acme.tenant.uid);
    assert_eq!(answered(&service, &acme, ["data: 1"; STREAMS]).await, [0; STREAMS]);
    assert_eq!(answered(&service, &acme, ["data: Initech", "data: a@example.com"]).await, [403, 403]);
    // All together have spent it.
    service.processor.offload.shared().pay(Duration::from_secs(3600), std::time::Instant::now());
    assert_eq!(answered(&service, &globex, ["data: 1", "data: Initech"]).await, [0, 403]);
}

#[tokio::test]
async fn s5_tiny_events_in_a_flood_spend_their_own_tenants_time() {
    let once = Allowance { a_second: Duration::ZERO, saved: Duration::from_nanos(1) };
    let service = service_in(Offload::new(Room { waiting: 64, queued: STREAMS, at_once: once, ..NO_PLACES }));
    let (acme, globex) = (looking("acme"), looking("globex"));
    assert_eq!(answered(&service, &acme, ["data: 1"; STREAMS]).await, [0; STREAMS]);
    assert!(service.processor.offload.at_once(&acme.tenant.uid, || ()).is_err());
    assert!(service.processor.offload.at_once(&globex.tenant.uid, || ()).is_ok());
}
