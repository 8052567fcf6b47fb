//! Killed services and a killed store, under traffic: nothing that should be denied is ever let in, and what is denied reached nobody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bulkhead_tests::{
    client::{Answer, Request},
    config::Config,
    deadline::{self, PATIENCE},
    issuer::key::Key,
    service::Service,
    upstream::MARK,
    world::{Builder, World},
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::stage::{GLOBEX_KEY, INVOICES, PRODUCTS, once, reached, unhurried};

/// Clients that send the same request on and on.
struct Traffic {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    running: Vec<JoinHandle<Vec<(String, u16)>>>,
}

impl Traffic {
    fn start(world: &World, requests: &[Request]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let running = requests.iter().map(|request| {
            let (to, request, stop, sent) = (world.envoy.address(), request.clone(), Arc::clone(&stop), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let mark = format!("traffic-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                    let answer = request.clone().header(MARK, &mark).send(to).await;
                    answers.push((mark, answer.status));
                    sent.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                answers
            })
        });
        let running = running.collect();
        Self { stop, sent, running }
    }

    /// Waits until so many more requests were answered.
    async fn flows(&self, more: u64) {
        let from = self.sent.load(Ordering::SeqCst);
        deadline::until("traffic", PATIENCE, || async { (self.sent.load(Ordering::SeqCst) >= from + more).then_some(()) }).await;
    }

    /// Stops; every client's answers, each of which reached an upstream exactly if it is a 200.
    async fn end(self, world: &World) -> Vec<BTreeMap<u16, usize>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut clients = Vec::new();
        for client in self.running {
            let mut statuses = BTreeMap::new();
            for (mark, status) in client.await.unwrap() {
                assert_eq!(reached(world, &mark), u64::from(status == 200), "a request was answered {status}");
                *statuses.entry(status).or_default() += 1;
            }
            clients.push(statuses);
        }
        clients
    }
}

/// One honest client, and attackers whose every request must be denied.
fn mixed(world: &World) -> Vec<Request> {
    let acme = world.acme.issuer.token().sign();
    let mut requests = vec![Request::get(INVOICES).bearer(&acme)];
    requests.extend([
        Request::get(PRODUCTS).bearer(&acme).header("x-bulkhead-tenant", "globex"),
        Request::get(INVOICES).bearer(&world.acme.issuer.token().sign_with(&Key::rs256("acme-1"))),
        Request::get(PRODUCTS),
        Request::get(INVOICES).key(GLOBEX_KEY),
    ]);
    requests
}

/// The honest client got 200 or 503; the attackers 401 or 503.
fn nobody_was_let_in(clients: &[BTreeMap<u16, usize>]) {
    assert!(clients[0].keys().all(|status| [200, 503].contains(status)) && clients[0].contains_key(&200), "{clients:?}");
    for attacker in &clients[1..] {
        assert!(attacker.keys().all(|status| [401, 503].contains(status)) && attacker.contains_key(&401), "{clients:?}");
    }
}

async fn until(world: &World, request: &Request, status: u16) -> Answer {
    deadline::until(&format!("{status} to {request:?}"), PATIENCE, || async {
        let (answer, hits) = once(world, request).await;
        assert_eq!(hits, u64::from(answer.status == 200));
        (answer.status == status).then_some(answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_killed_and_restarted_under_traffic_lets_nobody_in() {
    kill_and_restart(World::builder().punctual(), |world| &mut world.ext_authz).await;
}

/// Here nothing stands between a decision that is missing and an upstream but Envoy's own word that no answer is a denial.
#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_killed_and_restarted_under_traffic_lets_nobody_in_on_the_users_own_routes() {
    kill_and_restart(World::builder().punctual().own_routes(), |world| &mut world.ext_authz).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ratelimit_killed_and_restarted_under_traffic_lets_nobody_in() {
    kill_and_restart(World::builder().punctual(), |world| &mut world.ratelimit).await;
}

async fn kill_and_restart(world: Builder<'_>, service: fn(&mut World) -> &mut Service) {
    let mut world = world.valkey().config(plenty).start().await;
    let honest = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    until(&world, &honest, 200).await;
    let traffic = Traffic::start(&world, &mixed(&world));
    for _ in 0..2 {
        traffic.flows(25).await;
        service(&mut world).kill();
        traffic.flows(25).await;
        let (answer, hits) = once(&world, &honest).await;
        assert_eq!((answer.status, hits), (503, 0));
        service(&mut world).restart().await;
        until(&world, &honest, 200).await;
    }
    traffic.flows(25).await;
    nobody_was_let_in(&traffic.end(&world).await);
    assert_eq!(world.globex.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_services_killed_at_once_come_back_without_touching_envoy() {
    let mut world = World::builder().punctual().valkey().config(plenty).start().await;
    let honest = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    until(&world, &honest, 200).await;
    let traffic = Traffic::start(&world, &mixed(&world));
    traffic.flows(25).await;
    world.ratelimit.kill();
    world.ext_authz.kill();
    traffic.flows(25).await;
    assert_eq!(once(&world, &honest).await.0.status, 503);
    // The limiter alone permits nothing.
    world.ratelimit.restart().await;
    traffic.flows(25).await;
    assert_eq!(once(&world, &honest).await.0.status, 503);
    world.ext_authz.restart().await;
    until(&world, &honest, 200).await;
    traffic.flows(25).await;
    nobody_was_let_in(&traffic.end(&world).await);
    assert_eq!(world.globex.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_comes_back_to_a_broken_configuration_permits_nothing_that_it_cannot_judge() {
    let mut world = World::builder().punctual().config(unhurried).start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    until(&world, &acme, 200).await;
    // A process that starts has no last good policy to fall back to (S10).
    world.ext_authz.kill();
    let file = "namespaces/tenant-acme/contract.yaml";
    let good = world.config.read(file);
    world.config.write(file, &format!("{good}\n: ["));
    world.ext_authz.restart().await;
    until(&world, &globex, 200).await;
    let before = world.acme.requests();
    let answer = until(&world, &acme, 503).await;
    assert_eq!((answer.reason().as_str(), world.acme.requests()), ("unavailable", before));
    world.config.write(file, &good);
    until(&world, &acme, 200).await;
}

fn store_failure(world: Builder<'static>, mode: &'static str) -> Builder<'static> {
    world.config(unhurried).config(move |config| {
        config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["limiter"] = json!({ "onStoreFailure": mode }));
        config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 30 }));
    })
}

/// More than the honest client of these tests could ever use up.
fn plenty(config: &Config) {
    unhurried(config);
    config.edit_all("plans.yaml", |plans| plans[0]["spec"]["rateLimit"] = json!({ "requestsPerMinute": 500_000 }));
    config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 400_000 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_store_bounds_a_tenant_whose_failure_mode_is_local() {
    let mut world = store_failure(World::builder().punctual().valkey(), "local").start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    until(&world, &acme, 200).await;
    world.valkey.as_mut().unwrap().kill();
    let from = std::time::Instant::now();
    let mut served = 0;
    let mut refused = 0;
    while refused < 10 {
        let (answer, hits) = once(&world, &acme).await;
        assert_eq!(hits, u64::from(answer.status == 200), "{}", answer.status);
        assert!([200, 429, 503].contains(&answer.status), "{}", answer.status);
        served += hits;
        refused += u64::from(answer.status == 429);
        assert!(from.elapsed() < PATIENCE, "{served} served, {refused} refused");
    }
    // What it had left, kept in memory: a bucket of 30, and what 30 a minute refill meanwhile.
    let bound = 30 + 1 + from.elapsed().as_secs() / 2;
    assert!(served <= bound, "{served} served of {bound}");
    world.valkey.as_mut().unwrap().restart().await;
    // The store comes back empty, and is used again.
    until(&world, &acme, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_store_closes_a_tenant_whose_failure_mode_is_closed_and_no_other() {
    let mut world = store_failure(World::builder().punctual().valkey(), "closed").start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    until(&world, &acme, 200).await;
    until(&world, &globex, 200).await;
    world.valkey.as_mut().unwrap().kill();
    let before = world.acme.requests();
    for _ in 0..10 {
        let (answer, hits) = once(&world, &acme).await;
        assert_eq!(hits, 0);
        assert!([429, 503].contains(&answer.status), "{}: {}", answer.status, answer.text());
    }
    assert_eq!(world.acme.requests(), before);
    until(&world, &globex, 200).await;
    world.valkey.as_mut().unwrap().restart().await;
    until(&world, &acme, 200).await;
}
