//! What is to be reached, and whether it was: the figures that are aimed at, each judged by the rows that it is stated for (limits: metering on, over TCP).

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    floods,
    gateway::{self, Behind},
    load::{Measured, middle},
    matrix::{Case, Setup, Sockets, What},
    report::Report,
};

/// One figure to reach.
struct Target {
    what: &'static str,
    bound: Bound,
    /// What was measured of it: the one farthest from the bound is the one that counts.
    figures: fn(&Report) -> Vec<f64>,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const TARGETS: [Target; 13] = [
    Target {
        what: "throughput, ext-authz, a token seen before, 10,000 tenants, 200 streams, with and without a record of each decision",
        bound: Bound::AtLeast(0.7),
        figures: |report| {
            decisions(report, throughput, |case| {
                matches!(case.setup.what, What::ExtAuthz | What::Audited) && case.setup.tenants == 10_000 && case.streams == 200
            })
        },
    },
    Target {
        what: "throughput, ext-authz, an API key, 10,000 tenants, 200 streams",
        bound: Bound::AtLeast(0.7),
        figures: |report| decisions(report, throughput, |case| case.setup.what == What::ApiKey),
    },
    Target {
        what: "first sight of a token over the bare server and the signature alone, by server CPU",
        bound: Bound::AtLeast(0.8),
        figures: |report| decisions(report, Measured::share_of_signature, |case| case.setup.what == What::FirstSight),
    },
    Target {
        what: "throughput, exact, one tenant, 200 streams",
        bound: Bound::AtLeast(0.9),
        figures: |report| decisions(report, throughput, |case| is(case, What::Exact, Some(1), 200)),
    },
    Target {
        what: "throughput, exact, 10,000 tenants, 200 streams",
        bound: Bound::AtLeast(0.8),
        figures: |report| decisions(report, throughput, |case| is(case, What::Exact, Some(10_000), 200)),
    },
    Target {
        what: "throughput, leased, any number of tenants, 200 streams",
        bound: Bound::AtLeast(0.9),
        figures: |report| decisions(report, throughput, |case| is(case, What::Leased, None, 200)),
    },
    Target {
        what: "throughput, memory, any number of tenants, 200 streams",
        bound: Bound::AtLeast(0.9),
        figures: |report| decisions(report, throughput, |case| is(case, What::Memory, None, 200)),
    },
    Target {
        what: "latency (p50), exact, one stream",
        bound: Bound::AtMost(1.8),
        figures: |report| decisions(report, |measured| measured.ratio(|round| round.p50), |case| is(case, What::Exact, None, 1)),
    },
    Target {
        what: "server CPU a decision, every mode, 200 streams",
        bound: Bound::AtMost(1.2),
        figures: |report| {
            let limits = |case: &Case| [What::Exact, What::Leased, What::Memory].into_iter().any(|what| is(case, what, None, 200));
            decisions(report, |measured| measured.ratio(|round| round.server_cpu), limits)
        },
    },
    Target {
        what: "store CPU a decision in us, exact, 10,000 tenants, 200 streams",
        bound: Bound::AtMost(5.0),
        figures: |report| {
            let store = |measured: &Measured| middle(&measured.service, |round| round.store_cpu);
            decisions(report, store, |case| is(case, What::Exact, Some(10_000), 200))
        },
    },
    Target {
        what: "whole path (p50) over the same Envoy with two services that decide nothing",
        bound: Bound::AtMost(1.3),
        figures: |report| paths(report, Behind::TwoServices),
    },
    Target {
        what: "whole path in one hop (p50) over the same",
        bound: Bound::AtMost(0.85),
        figures: |report| paths(report, Behind::OneHop),
    },
    Target {
        what: "a tenant's p99 beside another's flood over that beside as many ordinary requests",
        bound: Bound::AtMost(2.0),
        figures: |report| report.floods.iter().map(floods::Row::over_ordinary).collect(),
    },
];

fn throughput(measured: &Measured) -> f64 {
    measured.ratio(|round| round.rate)
}

fn decisions(report: &Report, figure: fn(&Measured) -> f64, applies: fn(&Case) -> bool) -> Vec<f64> {
    report.rows.iter().filter(|row| applies(&row.case)).map(|row| figure(&row.measured)).collect()
}

fn paths(report: &Report, behind: Behind) -> Vec<f64> {
    let rows = &report.gateway;
    rows.iter().filter(|row| row.behind == behind).filter_map(|row| row.over(Behind::Floor, rows, gateway::p50)).collect()
}

fn is(case: &Case, what: What, tenants: Option<usize>, streams: usize) -> bool {
    let Setup { what: measured, tenants: of, metering, sockets } = case.setup;
    measured == what && tenants.is_none_or(|tenants| tenants == of) && case.streams == streams && metering && sockets == Sockets::Tcp
}

impl Target {
    /// The figure that is farthest from it.
    fn worst(&self, report: &Report) -> Option<f64> {
        let figures = (self.figures)(report).into_iter();
        match self.bound {
            Bound::AtLeast(_) => figures.min_by(f64::total_cmp),
            Bound::AtMost(_) => figures.max_by(f64::total_cmp),
        }
    }

    fn is_reached_by(&self, figure: f64) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => figure >= bound,
            Bound::AtMost(bound) => figure <= bound,
        }
    }
}

/// A line for each target that was measured.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::from("| target | | measured (the worst row) | |\n|---|---|---|---|\n");
    for target in &TARGETS {
        let Some(figure) = target.worst(report) else { continue };
        let bound = match target.bound {
            Bound::AtLeast(bound) => format!(">= {bound}"),
            Bound::AtMost(bound) => format!("<= {bound}"),
        };
        let verdict = if target.is_reached_by(figure) { "reached" } else { "**not reached**" };
        let _ = writeln!(text, "| {} | {bound} | {figure:.2} | {verdict} |", target.what);
    }
    text
}

/// The same as JSON.
pub(crate) fn json(report: &Report) -> Value {
    let measured = TARGETS.iter().filter_map(|target| {
        let figure = target.worst(report)?;
        let (at_least, at_most) = match target.bound {
            Bound::AtLeast(bound) => (Some(bound), None),
            Bound::AtMost(bound) => (None, Some(bound)),
        };
        let reached = target.is_reached_by(figure);
        Some(json!({ "target": target.what, "at_least": at_least, "at_most": at_most, "measured": figure, "reached": reached }))
    });
    measured.collect()
}
