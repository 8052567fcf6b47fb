//! What is to be reached, and whether it was: the figures that are aimed at, each judged by the rows that it is stated for (metering on, over TCP).

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    load::{Measured, middle},
    matrix::{Case, Setup, Sockets, What},
    report::Row,
};

/// One figure to reach.
struct Target {
    what: &'static str,
    figure: fn(&Measured) -> f64,
    bound: Bound,
    applies: fn(&Case) -> bool,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const TARGETS: [Target; 10] = [
    Target {
        what: "throughput, ext-authz, a token seen before, 10,000 tenants, 200 streams",
        figure: throughput,
        bound: Bound::AtLeast(0.7),
        applies: |case| case.setup.what == What::ExtAuthz && case.setup.tenants == 10_000 && case.streams == 200,
    },
    Target {
        what: "throughput, ext-authz, an API key, 10,000 tenants, 200 streams",
        figure: throughput,
        bound: Bound::AtLeast(0.7),
        applies: |case| case.setup.what == What::ApiKey,
    },
    Target {
        what: "first sight of a token over the bare server and the signature alone, by server CPU",
        figure: Measured::share_of_signature,
        bound: Bound::AtLeast(0.8),
        applies: |case| case.setup.what == What::FirstSight,
    },
    Target {
        what: "throughput, exact, one tenant, 200 streams",
        figure: throughput,
        bound: Bound::AtLeast(0.9),
        applies: |case| is(case, What::Exact, Some(1), 200),
    },
    Target {
        what: "throughput, exact, 10,000 tenants, 200 streams",
        figure: throughput,
        bound: Bound::AtLeast(0.8),
        applies: |case| is(case, What::Exact, Some(10_000), 200),
    },
    Target {
        what: "throughput, leased, any number of tenants, 200 streams",
        figure: throughput,
        bound: Bound::AtLeast(0.9),
        applies: |case| is(case, What::Leased, None, 200),
    },
    Target {
        what: "throughput, memory, any number of tenants, 200 streams",
        figure: throughput,
        bound: Bound::AtLeast(0.9),
        applies: |case| is(case, What::Memory, None, 200),
    },
    Target {
        what: "latency (p50), exact, one stream",
        figure: |measured| measured.ratio(|round| round.p50),
        bound: Bound::AtMost(1.8),
        applies: |case| is(case, What::Exact, None, 1),
    },
    Target {
        what: "server CPU a decision, every mode, 200 streams",
        figure: |measured| measured.ratio(|round| round.server_cpu),
        bound: Bound::AtMost(1.2),
        applies: |case| [What::Exact, What::Leased, What::Memory].into_iter().any(|what| is(case, what, None, 200)),
    },
    Target {
        what: "store CPU a decision in us, exact, 10,000 tenants, 200 streams",
        figure: |measured| middle(&measured.service, |round| round.store_cpu),
        bound: Bound::AtMost(5.0),
        applies: |case| is(case, What::Exact, Some(10_000), 200),
    },
];

fn throughput(measured: &Measured) -> f64 {
    measured.ratio(|round| round.rate)
}

fn is(case: &Case, what: What, tenants: Option<usize>, streams: usize) -> bool {
    let Setup { what: measured, tenants: of, metering, sockets } = case.setup;
    measured == what && tenants.is_none_or(|tenants| tenants == of) && case.streams == streams && metering && sockets == Sockets::Tcp
}

impl Target {
    /// The figure of the row that is farthest from it.
    fn worst(&self, rows: &[Row]) -> Option<f64> {
        let figures = rows.iter().filter(|row| (self.applies)(&row.case)).map(|row| (self.figure)(&row.measured));
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
pub(crate) fn text(rows: &[Row]) -> String {
    let mut text = String::from("| target | | measured (the worst row) | |\n|---|---|---|---|\n");
    for target in &TARGETS {
        let Some(figure) = target.worst(rows) else { continue };
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
pub(crate) fn json(rows: &[Row]) -> Value {
    let measured = TARGETS.iter().filter_map(|target| {
        let figure = target.worst(rows)?;
        let (at_least, at_most) = match target.bound {
            Bound::AtLeast(bound) => (Some(bound), None),
            Bound::AtMost(bound) => (None, Some(bound)),
        };
        let reached = target.is_reached_by(figure);
        Some(json!({ "target": target.what, "at_least": at_least, "at_most": at_most, "measured": figure, "reached": reached }))
    });
    measured.collect()
}
