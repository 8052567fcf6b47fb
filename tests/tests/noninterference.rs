//! Non-interference, through the real Envoy: whatever the others ask, are configured to be or suffer, acme's answers are those that it has without them.
//!
//! One history of a fixed seed is played twice, with all of its events and with acme's alone. Compared are status, headers, body and what acme's upstream saw,
//! but for what is new in every answer. acme asks less than its guarantee holds, so no limit that the others use up may deny it. The property over many
//! histories is held in process (`ext-authz/src/noninterference.rs`); here it is held of the whole: Envoy, both services, files, sockets.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Instant};

use bulkhead_proto::contract::header;
use bulkhead_tests::{
    client::{Answer, Request},
    config::Config,
    deadline::{self, PATIENCE},
    issuer::Mood,
    upstream::Seen,
    world::World,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const INVOICES: &str = "/acme/billing-api/invoices";
const PRODUCTS: &str = "/globex/inventory-api/products";
const GLOBEX: &str = "tenants/globex.yaml";
const RULES: &str = "namespaces/tenant-globex/rules.yaml";
const CONTRACT: &str = "namespaces/tenant-acme/contract.yaml";
const STRANGER: &str = "tenants/zzz.yaml";

/// What the platform admits in a minute: less than globex asks for.
const GLOBAL: u64 = 300;
const EVENTS: usize = 110;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// acme asks the request of this number.
    Asks(usize),
    /// The operator suspends acme, or no longer.
    Suspended(bool),
    /// acme breaks its contract, or mends it.
    Broken(bool),
    /// The others do what has this number.
    Others(usize),
}

/// Kinds of acme's requests, and of the others' deeds.
const ASKS: usize = 11;
const DEEDS: usize = 22;

/// A history that is the same in every run (xorshift).
fn history() -> Vec<Event> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).expect("a small number")
    };
    let events = (0..EVENTS).map(|_| match below(20) {
        0..=8 => Event::Asks(below(ASKS)),
        9 => Event::Suspended(below(2) == 0),
        10 => Event::Broken(below(2) == 0),
        _ => Event::Others(below(DEEDS)),
    });
    events.collect()
}

/// A world in which globex can use up what all share, and acme has its guarantee: 60 requests at once, more than the history asks.
fn crowded(config: &Config) {
    config.edit("platform.yaml", |platform| {
        platform["spec"]["rateLimit"] = json!({ "requestsPerMinute": GLOBAL });
        platform["spec"]["unresolved"] = json!({ "requestsPerMinute": 60_000 });
    });
    config.edit_all("plans.yaml", |plans| {
        plans[0]["spec"]["guaranteed"] = json!({ "requestsPerMinute": 120, "burstSeconds": 30 });
        plans[1]["spec"]["rateLimit"] = json!({ "requestsPerMinute": GLOBAL });
        plans[1]["spec"]["guaranteed"] = json!({ "requestsPerMinute": 60 });
    });
}

struct Play {
    world: World,
    /// How often acme asked.
    asked: u8,
    /// acme's contract and globex's resource, as they were.
    contract: String,
    globex: String,
    others: JoinSet<Answer>,
}

impl Play {
    async fn start() -> Self {
        let world = World::builder().as_shipped().config(crowded).start().await;
        let (contract, globex) = (world.config.read(CONTRACT), world.config.read(GLOBEX));
        Self { world, asked: 0, contract, globex, others: JoinSet::new() }
    }

    async fn acme(&mut self, event: Event) -> Option<Compared> {
        match event {
            Event::Asks(which) => {
                // Each from an address that has not failed: a token of one that has waits for a thread, and on a busy machine perhaps too long.
                self.asked += 1;
                let from = Ipv4Addr::new(127, 0, 2, self.asked);
                return Some(Compared::of(self.asked(which).send_from(from, self.world.envoy.address()).await));
            }
            Event::Suspended(suspended) => {
                let status = if suspended { "suspended" } else { "active" };
                self.world.config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["status"] = status.into());
                // What is no API of acme's costs nothing.
                let probe = self.asked(7);
                let wanted = if suspended { 403 } else { 404 };
                deadline::until(status, PATIENCE, || async { (self.world.send(&probe).await.status == wanted).then_some(()) }).await;
            }
            Event::Broken(broken) => {
                self.world.config.write(CONTRACT, if broken { "kind: [" } else { &self.contract });
                self.world.ext_authz.until_tenant("acme", if broken { "last_good" } else { "ready" }).await;
            }
            Event::Others(_) => {}
        }
        None
    }

    fn asked(&self, which: usize) -> Request {
        let issuer = &self.world.acme.issuer;
        let token = issuer.token().sign();
        let json = |body: &str| Request::post(INVOICES, body).header("content-type", "application/json");
        match which {
            0 => Request::get(INVOICES).bearer(&token),
            1 => Request::get("/acme/orders-api/orders?page=2").bearer(&token),
            2 => Request::get(INVOICES).bearer(&issuer.token().claim("azp", "acme-billing-app").sign()),
            3 => json("{\"mail\":\"a@example.com\"}").bearer(&token),
            4 => json("{\"q\":\"ask Initech\"}").bearer(&token),
            5 => Request::get(INVOICES),
            6 => Request::get(INVOICES).bearer("garbage"),
            7 => Request::get("/acme/no-api/x").bearer(&token),
            8 => Request::get("/acme/billing-api/a%2f..%2fb").bearer(&token),
            9 => Request::get(PRODUCTS).bearer(&token),
            _ => Request::get(INVOICES).bearer(&issuer.token().claim("exp", 1).sign()),
        }
    }

    /// What the others ask goes on while the next events happen.
    fn others(&mut self, which: usize) {
        let World { config, globex, acme, .. } = &self.world;
        let token = globex.issuer.token().sign();
        let write = |from: &str, to: &str| config.write(GLOBEX, &self.globex.replace(from, to));
        let flood = match which {
            0..=3 => Request::get(PRODUCTS).bearer(&token),
            4 => Request::post(PRODUCTS, vec![b'x'; 300_000]).bearer(&token),
            5 => Request::get(PRODUCTS).bearer("garbage"),
            6 => Request::get("/nobody/no-api/x"),
            7 => Request::get(INVOICES).bearer("garbage"),
            8 => Request::get(INVOICES).bearer(&token),
            // It names acme's issuer.
            9 => Request::get(INVOICES).bearer(&globex.issuer.token().claim("iss", acme.issuer.issuer()).sign()),
            10 => return globex.issuer.mood(Mood::Hanging),
            11 => return globex.issuer.mood(Mood::Well),
            12 => return write("plan: starter", "plan: starter\n  status: suspended"),
            13 => return write("", ""),
            14 => return write("realms/tenant-globex\n", "realms/tenant-acme\n"),
            15 => return write("*.globex.internal", "*.acme.internal"),
            16 => return config.write(STRANGER, "a: &a [*a]"),
            17 => return config.put(RULES, &spinning()),
            18 | 19 => return globex.issuer.mood(Mood::Well),
            _ => return write("", ""),
        };
        for number in 0..10_u8 {
            let (flood, to) = (flood.clone(), self.world.envoy.address());
            self.others.spawn(async move { flood.send_from(Ipv4Addr::new(127, 0, 1, number + 1), to).await });
        }
    }

    /// The others' deeds, until one of their requests was answered so: a change takes effect when it is read, and a limit is used up when they are faster than it fills.
    async fn until_answered(&mut self, deed: usize, wanted: u16) {
        let began = Instant::now();
        self.others(deed);
        while !self.answered().await.contains(&wanted) {
            assert!(began.elapsed() < PATIENCE, "no {wanted} among the others' answers");
            self.others(0);
        }
    }

    /// The statuses of what the others asked so far.
    async fn answered(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.others).join_all().await.into_iter().map(|answer| answer.status).collect()
    }
}

/// A rule of globex's that always spends its whole budget.
fn spinning() -> Value {
    let rule = "allow if {\n  some a in split(input.request.path, \"\")\n  some b in split(input.request.path, \"\")\n  \
                some c in split(input.request.path, \"\")\n  some d in split(input.request.path, \"\")\n  [a, b, c, d] == 1\n}";
    json!({
        "apiVersion": "gostoa.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": { "name": "spinning", "namespace": "tenant-globex" },
        "spec": { "rules": rule },
    })
}

/// An answer, without what is new in every answer.
#[derive(Debug, PartialEq)]
struct Compared {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Compared {
    fn of(answer: Answer) -> Self {
        let body = match answer.status {
            200 => seen(answer.seen()),
            // Envoy refuses some paths itself, without a word.
            _ if answer.body.is_empty() => Value::Null,
            _ => problem(answer.json()),
        };
        // What is left of a limit, and until when, is a matter of time.
        let new = ["date", "x-envoy-upstream-service-time", "ratelimit-remaining", "ratelimit-reset", "content-length", header::DECISION];
        Self { status: answer.status, headers: without(answer.headers, &new), body }
    }
}

fn without(mut headers: Vec<(String, String)>, names: &[&str]) -> Vec<(String, String)> {
    headers.retain(|(name, _)| !names.contains(&name.as_str()));
    headers.sort();
    headers
}

/// What the upstream saw. Its own port is another in every world.
fn seen(seen: Seen) -> Value {
    let headers = without(seen.headers, &["host", "x-request-id", header::DECISION]);
    json!({ "upstream": seen.upstream, "method": seen.method, "path": seen.path, "headers": headers, "body": seen.body })
}

fn problem(mut problem: Value) -> Value {
    problem.as_object_mut().expect("a problem").remove("decision_id").expect("an id");
    problem
}

#[tokio::test(flavor = "multi_thread")]
async fn no_deed_of_the_others_changes_an_answer_of_acmes() {
    let history = history();
    let (mut alone, mut among) = (Play::start().await, Play::start().await);
    // globex is well, and uses up what all share.
    among.until_answered(0, 200).await;
    (0..=GLOBAL / 10).for_each(|_| among.others(0));
    among.until_answered(0, 429).await;
    let mut statuses = BTreeMap::new();
    for (number, event) in history.iter().enumerate() {
        if let Event::Others(which) = event {
            among.others(*which);
        }
        let (without, with) = (alone.acme(*event).await, among.acme(*event).await);
        assert_eq!(without, with, "alone, and among others, at event {number}: {event:?}");
        if let Some(answer) = with {
            *statuses.entry(answer.status).or_insert(0) += 1;
        }
    }
    // It says something: acme's answers are of every kind, and what the others do takes effect.
    assert_eq!(statuses.keys().copied().collect::<Vec<u16>>(), [200, 400, 401, 403, 404], "{statuses:?}");
    [11, 13].into_iter().for_each(|deed| among.others(deed));
    among.until_answered(17, 403).await;
    // Another issuer, and back: its keys are fetched anew, from a provider that hangs.
    among.others(10);
    among.until_answered(14, 401).await;
    among.until_answered(13, 503).await;
}
