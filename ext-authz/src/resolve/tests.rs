use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Mutex, PoisonError},
};

use bulkhead_tenancy::clock::{ManualClock, SystemClock};

use super::{
    known::{FRESH_US, LATELY, STALE_US},
    lanes::OF_TENANT,
    *,
};

/// A resolver's answers by name; `hung` never has one.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    known: BTreeMap<String, Vec<IpAddr>>,
    asked: usize,
}

impl Zone {
    fn put(&self, host: &str, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.insert(host.to_owned(), addresses);
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked
    }
}

#[async_trait]
impl Lookup for Zone {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = {
            let mut zone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            zone.asked += 1;
            zone.known.get(host).cloned()
        };
        if host.starts_with("hung") {
            return pending().await;
        }
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

struct World {
    zone: Zone,
    clock: ManualClock,
    resolver: Resolver,
}

impl World {
    fn new() -> Self {
        let (zone, clock) = (Zone::default(), ManualClock::at_us(1_700_000_000_000_000));
        let resolver = Resolver::new(zone.clone(), Arc::new(clock.clone()));
        Self { zone, clock, resolver }
    }

    async fn ask_for(&self, tenant: &str, host: &str, anywhere: bool, patience: Duration) -> Result<String, String> {
        let until = Instant::now() + patience;
        let found = self.resolver.address(&tenant.parse().unwrap(), &host.parse().unwrap(), anywhere, until).await;
        found.map(|address| address.to_string()).map_err(|denial| denial.detail.to_string())
    }

    async fn ask(&self, host: &str) -> Result<String, String> {
        self.ask_for("acme", host, false, PATIENCE).await
    }

    /// Until a lookup of this moment has ended.
    async fn looked(&self, host: &str) {
        let name = self.resolver.0.names.get(&("acme".parse().unwrap(), host.parse().unwrap())).unwrap();
        let now = Some(self.clock.now_us());
        let mut changes = name.known.subscribe();
        tokio::time::timeout(PATIENCE, changes.wait_for(|known| known.tried == now)).await.expect("in time").unwrap();
    }

    /// Until an answer is as expected.
    async fn becomes(&self, host: &str, expected: impl Fn(&Result<String, String>) -> bool) {
        let asking = async {
            while !expected(&self.ask(host).await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("in time");
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn s3_a_name_of_which_any_address_is_forbidden_leads_nowhere() {
    let world = World::new();
    for (nth, addresses) in [
        ["192.0.2.2", "127.0.0.1"],
        ["127.0.0.1", "192.0.2.2"],
        ["192.0.2.2", "169.254.169.254"],
        ["192.0.2.2", "::ffff:127.0.0.1"],
        ["::1", "192.0.2.2"],
    ]
    .iter()
    .enumerate()
    {
        let host = format!("two{nth}.acme.internal");
        world.zone.put(&host, addresses);
        let told = world.ask(&host).await.unwrap_err();
        assert!(told.contains("resolves to a l"), "{addresses:?}: {told}");
        assert!(world.ask_for("acme", &host, true, PATIENCE).await.is_ok(), "the operator's word");
    }
    world.zone.put("both.acme.internal", &["2001:db8::1", "192.0.2.7", "192.0.2.8"]);
    assert_eq!(world.ask("both.acme.internal").await, Ok("192.0.2.7".to_owned()));
}

#[tokio::test]
async fn s3_a_name_that_comes_to_lead_here_is_no_upstream_from_then_on() {
    const NAME: &str = "a.acme.internal";
    let world = World::new();
    world.zone.put(NAME, &["192.0.2.2"]);
    let before = Ok("192.0.2.2".to_owned());
    assert_eq!(world.ask(NAME).await, before);
    world.zone.put(NAME, &["127.0.0.1"]);
    assert_eq!(world.ask(NAME).await, before, "what was judged is what is connected to");
    world.clock.advance_us(FRESH_US);
    assert_eq!(world.ask(NAME).await, before, "whoever finds it old does not wait");
    world.becomes(NAME, Result::is_err).await;
    world.zone.put(NAME, &["192.0.2.3"]);
    world.clock.set_us(1_600_000_000_000_000);
    world.becomes(NAME, |answer| *answer == Ok("192.0.2.3".to_owned())).await;
}

#[tokio::test]
async fn s4_a_name_whose_addresses_go_on_changing_leads_to_few() {
    const NAME: &str = "a.acme.internal";
    let world = World::new();
    let mut told = std::collections::BTreeSet::new();
    for nth in 0..100 {
        world.zone.put(NAME, &[&format!("192.0.2.{nth}")]);
        told.insert(world.ask(NAME).await.unwrap());
        world.looked(NAME).await;
        told.insert(world.ask(NAME).await.unwrap());
        world.clock.advance_us(FRESH_US);
        if (nth + 1) * FRESH_US == STALE_US {
            assert_eq!(told.len(), LATELY, "{told:?}");
        }
    }
    assert!(told.len() <= LATELY * 6, "in five times as long: {told:?}");

    // One forbidden address spoils it as ever, and whatever comes after that, it stays with none that is forbidden.
    world.zone.put(NAME, &["192.0.2.250", "127.0.0.1"]);
    world.becomes(NAME, Result::is_err).await;
    for address in ["127.0.0.1", "192.0.2.251"] {
        world.zone.put(NAME, &[address]);
        world.clock.advance_us(FRESH_US);
        let _ = world.ask(NAME).await;
        world.looked(NAME).await;
        assert_ne!(world.ask(NAME).await, Ok("127.0.0.1".to_owned()));
    }
    assert!(world.ask(NAME).await.is_ok());
}

#[tokio::test]
async fn what_was_found_holds_while_nobody_answers_and_not_for_ever() {
    const NAME: &str = "a.acme.internal";
    let world = World::new();
    world.zone.put(NAME, &["192.0.2.2"]);
    assert!(world.ask(NAME).await.is_ok());
    world.zone.0.lock().unwrap().known.clear();
    for _ in 0..29 {
        world.clock.advance_us(10_000_000);
        assert!(world.ask(NAME).await.is_ok());
    }
    world.clock.advance_us(10_000_000);
    world.becomes(NAME, |answer| *answer == Err("the host of the contract's upstream does not resolve".to_owned())).await;
}

#[tokio::test]
async fn many_who_ask_at_once_ask_once_and_a_name_that_is_not_found_is_not_asked_for_each_time() {
    let world = World::new();
    world.zone.put("a.acme.internal", &["192.0.2.2"]);
    let all = (0..50).map(|_| world.ask("a.acme.internal"));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(world.zone.asked(), 1);
    for _ in 0..20 {
        assert!(world.ask("none.acme.internal").await.is_err());
    }
    assert_eq!(world.zone.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_while_a_lookup_ends_gets_its_answer_at_once() {
    let world = Arc::new(World::new());
    for nth in 0..200 {
        let (some, none) = (format!("some{nth}.acme.internal"), format!("none{nth}.acme.internal"));
        world.zone.put(&some, &["192.0.2.2"]);
        let asking = (0..16).map(|one| {
            let (world, host) = (Arc::clone(&world), if one % 2 == 0 { some.clone() } else { none.clone() });
            tokio::spawn(async move { (one % 2 == 0, world.ask(&host).await) })
        });
        for asked in futures::future::join_all(asking).await {
            match asked.unwrap() {
                (true, answer) => assert_eq!(answer, Ok("192.0.2.2".to_owned())),
                (false, answer) => assert_eq!(answer, Err("the host of the contract's upstream does not resolve".to_owned())),
            }
        }
    }
}

#[tokio::test]
async fn s5_names_that_hang_keep_no_other_tenants_from_being_found() {
    let world = World::new();
    world.zone.put("shared.internal", &["192.0.2.3"]);
    for nth in 0..20 {
        let late = world.ask_for("acme", &format!("hung{nth}.acme.internal"), false, Duration::from_millis(5)).await;
        assert_eq!(late, Err("the host of the contract's upstream was not resolved in time".to_owned()));
    }
    assert_eq!(world.zone.asked(), OF_TENANT as usize);
    let behind = world.ask_for("acme", "shared.internal", false, Duration::from_millis(5)).await;
    assert!(behind.is_err(), "behind its own");
    assert_eq!(world.ask_for("globex", "shared.internal", false, PATIENCE).await, Ok("192.0.2.3".to_owned()));
}

#[tokio::test]
async fn s4_a_hundred_tenants_whose_names_hang_keep_nobody_else_from_being_found() {
    let world = World::new();
    world.zone.put("a.acme.internal", &["192.0.2.2"]);
    let hostile = (0..100).flat_map(|tenant| (0..4).map(move |host| (format!("hostile-{tenant}"), format!("hung{host}.internal"))));
    let hung = hostile.map(|(tenant, host)| {
        let resolver = world.resolver.clone();
        tokio::spawn(
            async move { resolver.address(&tenant.parse().unwrap(), &host.parse().unwrap(), false, Instant::now() + PATIENCE).await },
        )
    });
    let hung: Vec<_> = hung.collect();
    assert_eq!(world.ask("a.acme.internal").await, Ok("192.0.2.2".to_owned()));
    assert!(hung.iter().all(|hung| !hung.is_finished()), "all this time they hung");
    assert_eq!(world.ask("b.acme.internal").await, Err("the host of the contract's upstream does not resolve".to_owned()));
    assert_eq!(world.zone.asked(), 202, "two of each that hangs");
}

#[tokio::test]
async fn what_fails_late_is_told_at_once() {
    let world = World::new();
    let asking = world.ask("late.acme.internal");
    tokio::pin!(asking);
    assert!(futures::poll!(&mut asking).is_pending());
    world.clock.advance_us(10 * FRESH_US);
    assert_eq!(asking.await, Err("the host of the contract's upstream does not resolve".to_owned()));
}

#[tokio::test]
async fn the_system_knows_this_machine() {
    let resolver = Resolver::new(System, Arc::new(SystemClock));
    let found = resolver.address(&"acme".parse().unwrap(), &"localhost".parse().unwrap(), false, Instant::now() + PATIENCE).await;
    assert!(found.is_err_and(|denial| denial.detail.contains("loopback")));
}
