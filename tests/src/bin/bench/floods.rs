//! One tenant's latency while another floods, beside the same while that other sends as many ordinary requests.

use std::{fmt, time::Duration};

use bulkhead_tests::{
    issuer::{Issuer, Mood},
    service::Service,
};
use serde_json::{Value, json};

use crate::{
    bodies,
    calls::Calls,
    client::{Client, Sent},
    household::Household,
    load::ROUNDS,
    median::{median, of_ratios},
    table,
};

/// What the other tenant does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Tokens that its issuer never signed.
    FailedAuthentications,
    /// Good tokens, each for the first time.
    FirstSights,
    /// Requests whose rule works until its budget is spent.
    RulesAtTheirLimit,
    /// Bodies of 900 KB under every content policy.
    LargeBodies,
    /// Tokens whose provider takes connections and never answers.
    HungProvider,
}

/// One flood, measured: the 99th percentile of the first tenant's latencies, in microseconds, one for each round.
pub(crate) struct Row {
    pub(crate) flood: Flood,
    pub(crate) alone: Vec<f64>,
    pub(crate) beside_ordinary: Vec<f64>,
    pub(crate) beside_flood: Vec<f64>,
    /// How many of the flood were answered in all rounds.
    pub(crate) flooded: usize,
    /// Answers to the first tenant that were no allow.
    pub(crate) refused: usize,
}

const FLOODS: [Flood; 5] =
    [Flood::FailedAuthentications, Flood::FirstSights, Flood::RulesAtTheirLimit, Flood::LargeBodies, Flood::HungProvider];
/// Calls in flight of the tenant that is watched, and of the other.
const WATCHED: usize = 4;
const FLOODING: usize = 32;

/// The tenants: one is watched, one behaves, and others flood.
const VICTIM: usize = 0;
const ORDINARY: usize = 1;
const RULES: usize = 2;
const BODIES: usize = 3;
const HUNG: usize = 4;

/// 125,000 combinations, of which none fits: more than an evaluation may look at.
const ENDLESS: &str = "rules: |\n  numbers := [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50]\n  allow if {\n      some a in numbers\n      some b in numbers\n      some c in numbers\n      a + b + c == 1000\n  }";

impl Flood {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::FailedAuthentications => "failed authentications",
            Self::FirstSights => "first sights of tokens",
            Self::RulesAtTheirLimit => "rules at their limit",
            Self::LargeBodies => "bodies of 900 KB, read",
            Self::HungProvider => "a hung provider",
        }
    }

    fn calls(self, household: &Household) -> Calls {
        let key = household.key();
        match self {
            Self::FailedAuthentications => Calls::check_forged(ORDINARY, key),
            Self::FirstSights => Calls::check_first_sight_of(ORDINARY, key),
            Self::RulesAtTheirLimit => Calls::check_one(RULES, key),
            Self::LargeBodies => Calls::check_body(BODIES, key, &bodies::body(900_000)),
            Self::HungProvider => Calls::check_one(HUNG, key),
        }
    }
}

/// Measures every flood, each in rounds of its own.
pub(crate) async fn measure(time: Duration, told: impl Fn(&Row)) -> Vec<Row> {
    let provider = Issuer::start("hung").await;
    provider.mood(Mood::Hanging);
    let household = Household::of(5)
        .policy(RULES, ENDLESS)
        .policy(BODIES, "contentFilter: { piiDetection: block, blockedTopics: [competitor-names, internal-pricing] }")
        .keys_at(HUNG, &provider.jwks_uri());
    let service = Service::ext_authz(household.path(), &["--body", "on"]).await;
    let uri = format!("http://{}", service.grpc());
    let connect = |calls: Calls| Client::connect(&uri, &calls);
    let victim = connect(Calls::check_one(VICTIM, household.key()));
    let ordinary = connect(Calls::check_one(ORDINARY, household.key()));
    ordinary.send(FLOODING, time).await;
    victim.send(WATCHED, time).await;
    let mut rows = Vec::new();
    for flood in FLOODS {
        let flooding = connect(flood.calls(&household));
        let mut row = Row { flood, alone: vec![], beside_ordinary: vec![], beside_flood: vec![], flooded: 0, refused: 0 };
        for _ in 0..ROUNDS {
            let mut watch = |sent: Sent| {
                row.refused += sent.refused;
                sent.latency_us(0.99)
            };
            row.alone.push(watch(victim.send(WATCHED, time).await));
            let (watched, _) = tokio::join!(victim.send(WATCHED, time), ordinary.send(FLOODING, time));
            row.beside_ordinary.push(watch(watched));
            let (watched, flooded) = tokio::join!(victim.send(WATCHED, time), flooding.send(FLOODING, time));
            row.beside_flood.push(watch(watched));
            row.flooded += flooded.latencies.len();
        }
        told(&row);
        rows.push(row);
    }
    rows
}

/// As a table; none where nothing was measured.
pub(crate) fn table(rows: &[Row]) -> Option<String> {
    let middle = |figures: &[f64]| median(figures.iter().copied());
    let line = |row: &Row| {
        let (alone, ordinary, flood) = (middle(&row.alone), middle(&row.beside_ordinary), middle(&row.beside_flood));
        let (name, over_ordinary, over_alone, refused) = (row.flood.as_str(), row.over_ordinary(), row.over_alone(), row.refused);
        format!("| {name} | {alone:.0} | {ordinary:.0} | {flood:.0} | {over_ordinary:.2} | {over_alone:.2} | {refused} |")
    };
    table::table(
        &format!(
            "A tenant's p99 with {WATCHED} calls in flight, alone, beside {FLOODING} ordinary calls of another tenant, and beside {FLOODING} of a flood."
        ),
        "| flood | alone, us | beside ordinary, us | beside the flood, us | over ordinary | over alone | refused |",
        rows.iter().map(line),
    )
}

/// As JSON.
pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "flood": row.flood.as_str(), "p99_us": { "alone": row.alone, "beside_ordinary": row.beside_ordinary, "beside_flood": row.beside_flood },
            "over_ordinary": row.over_ordinary(), "over_alone": row.over_alone(), "answered_of_the_flood": row.flooded, "refused": row.refused,
        })
    };
    rows.iter().map(row).collect()
}

impl Row {
    /// The watched tenant's 99th percentile beside the flood, over the one beside ordinary requests of the same turn: the median.
    pub(crate) fn over_ordinary(&self) -> f64 {
        of_ratios(self.beside_flood.iter().copied(), self.beside_ordinary.iter().copied())
    }

    /// The same over the tenant alone.
    pub(crate) fn over_alone(&self) -> f64 {
        of_ratios(self.beside_flood.iter().copied(), self.alone.iter().copied())
    }
}

/// As the progress shows it.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "beside {}: p99 {:.2} of that beside as many ordinary requests, {:.2} of that alone ({} answered of the flood, {} refused of the watched)",
            self.flood.as_str(),
            self.over_ordinary(),
            self.over_alone(),
            self.flooded,
            self.refused
        )
    }
}
