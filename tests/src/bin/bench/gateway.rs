//! The whole path: the same requests through the real Envoy as it is shipped, with both services, with two that decide nothing in their
//! place, and with none. The upstream is an Envoy that answers by itself (the gateway's own route may not: Envoy asks for no limit there).

use std::{fmt, net::SocketAddr, time::Duration};

use bulkhead_proto::pb::envoy::service::auth::v3::{CheckResponse, authorization_client::AuthorizationClient};
use bulkhead_tests::{
    envoy::{
        Envoy, chain,
        shipped::{Shipped, filter, filters, routes},
    },
    scale::Scale,
    service::Service,
    valkey::Valkey,
};
use serde_json::{Value, json};

use crate::{
    calls,
    client::Sent,
    floor::Floor,
    household::Household,
    http1::{self, Requests},
    load::ROUNDS,
    median::{median, of_ratios},
    table,
};

/// Who stands behind Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nobody: neither ext_authz nor ratelimit is in the chain.
    Nobody,
    /// Two services that decide nothing.
    Floor,
    /// Two that decide nothing, and answer with the headers and the metadata of a decision.
    Words,
    /// One of them, which says so for both.
    WordsOneHop,
    /// ext-authz and ratelimit, with a store.
    TwoServices,
    /// ext-authz alone, which charges the limits in the same store.
    OneHop,
}

/// One of them at one number of connections; a figure for each round.
pub(crate) struct Row {
    pub(crate) behind: Behind,
    pub(crate) connections: usize,
    pub(crate) rounds: Vec<Sent>,
    pub(crate) seconds: f64,
}

const ALL: [Behind; 6] = [Behind::Nobody, Behind::Floor, Behind::Words, Behind::WordsOneHop, Behind::TwoServices, Behind::OneHop];
const CONNECTIONS: [usize; 2] = [1, 50];
const TENANTS: usize = 1_000;

impl Behind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "Envoy alone",
            Self::Floor => "two services that decide nothing",
            Self::Words => "two that decide nothing, and say as much",
            Self::WordsOneHop => "one that decides nothing, and says as much",
            Self::TwoServices => "ext-authz and ratelimit",
            Self::OneHop => "ext-authz alone, one hop",
        }
    }

    /// Envoy's file, as shipped but for the routes and what says whether a service is well, which the floor does not.
    async fn envoy(self, ext_authz: SocketAddr, ratelimit: SocketAddr, upstream: SocketAddr) -> Envoy {
        let shipped = match self {
            Self::OneHop | Self::WordsOneHop => Shipped::one_hop(ext_authz, upstream, upstream),
            _ => Shipped::own_routes(ext_authz, ratelimit, upstream, upstream),
        };
        let shipped = shipped.edit(|bootstrap| {
            *routes(bootstrap) = json!([{ "match": { "prefix": "/" }, "route": { "cluster": "acme-billing" } }]);
            // A floor that more than 20,000 requests a second fall through is no part of what is compared.
            filter(bootstrap, "local_ratelimit")["token_bucket"]["max_tokens"] = 10_000_000.into();
            let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().expect("clusters");
            for cluster in clusters.iter_mut().filter_map(Value::as_object_mut) {
                cluster.remove("health_checks");
            }
            match self {
                Self::Nobody => {
                    let ours = ["envoy.filters.http.ext_authz", "envoy.filters.http.ratelimit", "envoy.filters.http.ext_proc"];
                    filters(bootstrap).retain(|filter| !ours.iter().any(|ours| filter["name"] == *ours));
                }
                // It writes no cost, and Envoy asks nothing about a descriptor whose cost it does not find.
                Self::Floor => {
                    drop(filter(bootstrap, "ratelimit")["rate_limits"][0].as_object_mut().expect("a descriptor").remove("hits_addend"))
                }
                Self::Words | Self::WordsOneHop | Self::TwoServices | Self::OneHop => {}
            }
        });
        Envoy::start(shipped.bootstrap()).await
    }
}

/// Measures all of them in turn.
pub(crate) async fn measure(floor: &Floor, time: Duration, told: impl Fn(&Row)) -> Vec<Row> {
    let household = Household::of(TENANTS);
    let store = Valkey::start().await;
    let authorizer = Service::ext_authz(household.path(), &[]).await;
    let charging = Service::ext_authz(household.path(), &["--store", &store.url()]).await;
    let limiter = Service::ratelimit(household.path(), &store.url(), &[]).await;
    let words = Floor::saying(&words(&authorizer, &household).await).await;
    let words_one_hop = Floor::saying(&self::words(&charging, &household).await).await;
    let upstream = upstream().await;
    let mut envoys = Vec::new();
    for behind in ALL {
        let services = match behind {
            Behind::Nobody | Behind::Floor => [floor.address(), floor.address()],
            Behind::Words => [words.address(), words.address()],
            Behind::WordsOneHop => [words_one_hop.address(), words_one_hop.address()],
            Behind::TwoServices => [authorizer.grpc(), limiter.grpc()],
            Behind::OneHop => [charging.grpc(), limiter.grpc()],
        };
        envoys.push((behind, behind.envoy(services[0], services[1], upstream.address()).await));
    }
    let requests = requests(&household);
    let mut rows: Vec<Row> = Vec::new();
    for connections in CONNECTIONS {
        let mut measured: Vec<Row> =
            ALL.iter().map(|&behind| Row { behind, connections, rounds: vec![], seconds: time.as_secs_f64() }).collect();
        for (_, envoy) in &envoys {
            http1::send(envoy.address(), &requests, connections.max(10), time).await;
        }
        for _ in 0..ROUNDS {
            for (row, (_, envoy)) in measured.iter_mut().zip(&envoys) {
                row.rounds.push(http1::send(envoy.address(), &requests, connections, time).await);
            }
        }
        measured.iter().for_each(&told);
        rows.extend(measured);
    }
    for (behind, envoy) in &envoys {
        let asked = envoy.stat("cluster.ratelimit.upstream_rq_total").await;
        let asks = matches!(behind, Behind::Floor | Behind::Words | Behind::TwoServices);
        assert_eq!(asks, asked > 0, "{}: {asked} limits were asked for", behind.as_str());
    }
    rows
}

/// What a service answers a request with.
async fn words(service: &Service, household: &Household) -> CheckResponse {
    let mut client = AuthorizationClient::connect(format!("http://{}", service.grpc())).await.expect("it listens");
    client.check(calls::bearer(0, &calls::sign(0, household.key(), 0))).await.expect("an answer").into_inner()
}

/// Answers everything with 200.
async fn upstream() -> Envoy {
    let mut bootstrap = chain::bootstrap(&[], SocketAddr::from(([127, 0, 0, 1], 9)), &[]);
    *routes(&mut bootstrap) = json!([{ "match": { "prefix": "/" }, "direct_response": { "status": 200 } }]);
    Envoy::start(&bootstrap).await
}

fn requests(household: &Household) -> Requests {
    let mut tokens = std::collections::HashMap::new();
    Requests::new(calls::zipf(TENANTS, calls::PREPARED).map(|tenant| {
        let name = Scale::tenant(tenant);
        let token = tokens.entry(tenant).or_insert_with(|| calls::sign(tenant, household.key(), 0));
        format!("GET /{name}/api-1/invoices/17?page=2 HTTP/1.1\r\nhost: gateway.example.com\r\nuser-agent: bench\r\nauthorization: Bearer {token}\r\n\r\n")
    }))
}

/// As a table; none where nothing was measured.
pub(crate) fn table(rows: &[Row]) -> Option<String> {
    let line = |row: &Row| {
        let over = |behind| row.over(behind, rows, p50).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let (name, connections, rate, refused) = (row.behind.as_str(), row.connections, row.rate(), row.refused());
        let (half, most) = (row.middle(p50), row.middle(|sent| sent.latency_us(0.99)));
        let (floor, alone) = (over(Behind::Floor), over(Behind::Nobody));
        format!("| {name} | {connections} | {half:.0} | {most:.0} | {rate:.0} | {floor} | {alone} | {refused} |")
    };
    table::table(
        "The whole path through Envoy, to an upstream that only answers.",
        "| behind Envoy | connections | p50, us | p99, us | a second | p50 over two that decide nothing | p50 over Envoy alone | denied |",
        rows.iter().map(line),
    )
}

/// As JSON.
pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "behind": row.behind.as_str(), "connections": row.connections, "p50_us": row.figures(p50), "p99_us": row.figures(|sent| sent.latency_us(0.99)),
            "a_second": row.rate(), "p50_over_floor": row.over(Behind::Floor, rows, p50), "p50_over_envoy_alone": row.over(Behind::Nobody, rows, p50),
            "denied": row.refused(),
        })
    };
    rows.iter().map(row).collect()
}

impl Row {
    /// A figure of each round.
    fn figures(&self, figure: impl Fn(&Sent) -> f64) -> Vec<f64> {
        self.rounds.iter().map(figure).collect()
    }

    /// Its median.
    pub(crate) fn middle(&self, figure: impl Fn(&Sent) -> f64) -> f64 {
        median(self.figures(figure))
    }

    /// The median over the rounds of a figure over that of another row's same round.
    pub(crate) fn over(&self, behind: Behind, rows: &[Self], figure: impl Fn(&Sent) -> f64) -> Option<f64> {
        let other = rows.iter().find(|row| row.behind == behind && row.connections == self.connections)?;
        Some(of_ratios(self.figures(&figure), other.figures(&figure)))
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        self.middle(|sent| sent.latencies.len() as f64 / self.seconds)
    }

    /// Answers that were not 200, in all rounds.
    pub(crate) fn refused(&self) -> usize {
        self.rounds.iter().map(|round| round.refused).sum()
    }
}

/// Half of all answers were faster, in microseconds.
pub(crate) fn p50(sent: &Sent) -> f64 {
    sent.latency_us(0.5)
}

/// As the progress shows it.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "through Envoy, {}, {} connections: p50 {:.0} us, {:.0} a second ({} refused)",
            self.behind.as_str(),
            self.connections,
            self.middle(p50),
            self.rate(),
            self.refused()
        )
    }
}
