//! The figures, as tables or as JSON.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    bodies, floods, gateway,
    load::{Measured, Round, middle},
    loading::Loading,
    matrix::{Case, Setup},
    table::table,
    target,
};

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) loading: Option<Loading>,
    pub(crate) rows: Vec<Row>,
    pub(crate) bodies: Vec<bodies::Row>,
    pub(crate) gateway: Vec<gateway::Row>,
    pub(crate) floods: Vec<floods::Row>,
}

/// One situation, measured.
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) measured: Measured,
}

/// The columns of a [`Row`].
const COLUMNS: &str = "| what | tenants | streams | metering | sockets | throughput | by CPU | p50 | p99 | p99.9 | server CPU | server us | store us | floor: a second | floor: p50 us | floor: server us | denied |";

impl Report {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let loading = self.loading.as_ref().and_then(changes);
        let decisions =
            table("Ratios to a tonic server that decides nothing, measured in turn with it:", COLUMNS, self.rows.iter().map(Row::line));
        let others = [bodies::table(&self.bodies), gateway::table(&self.gateway), floods::table(&self.floods)];
        for table in [loading, decisions].into_iter().chain(others).flatten() {
            let _ = writeln!(text, "{table}");
        }
        text.push_str(&target::text(self));
        text
    }

    pub(crate) fn json(&self) -> String {
        let loading = self.loading.as_ref().map(|loading| {
            let change = |times: &[Duration]| {
                let [median, worst] = extremes(times);
                json!({ "median": median, "worst": worst, "times": times.len() })
            };
            json!({
                "seconds_until_ready": loading.start.as_secs_f64(), "resident_mb": loading.resident_mb, "peak_mb": loading.peak_mb,
                "contract_edit_ms": change(&loading.edits), "suspension_ms": change(&loading.suspensions),
            })
        });
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        json!({
            "loading": loading, "decisions": rows, "bodies": bodies::json(&self.bodies), "gateway": gateway::json(&self.gateway),
            "floods": floods::json(&self.floods), "targets": target::json(self),
        })
        .to_string()
    }
}

impl Row {
    /// As a row of the table.
    fn line(&self) -> String {
        let (measured, Setup { what, tenants, metering, sockets }) = (&self.measured, self.case.setup);
        let metering = match (what, metering) {
            (what, _) if what.is_authorizer() => "-",
            (_, true) => "on",
            (_, false) => "off",
        };
        let store = if what.has_store() { format!("{:.1}", middle(&measured.service, |round| round.store_cpu)) } else { "-".to_owned() };
        format!(
            "| {} | {tenants} | {} | {metering} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {store} | {:.0} | {:.0} | {:.1} | {} |",
            what.as_str(),
            self.case.streams,
            sockets.as_str(),
            measured.ratio(|round| round.rate),
            measured.ratio(|round| 1.0 / round.all_cpu()),
            measured.ratio(|round| round.p50),
            measured.ratio(|round| round.p99),
            measured.ratio(|round| round.p999),
            measured.ratio(|round| round.server_cpu),
            middle(&measured.service, |round| round.server_cpu),
            middle(&measured.floor, |round| round.rate),
            middle(&measured.floor, |round| round.p50),
            middle(&measured.floor, |round| round.server_cpu),
            measured.refused(),
        )
    }

    fn json(&self) -> Value {
        let (measured, Setup { what, tenants, metering, sockets }) = (&self.measured, self.case.setup);
        json!({
            "what": what.as_str(), "tenants": tenants, "streams": self.case.streams, "sockets": sockets.as_str(),
            "metering": (!what.is_authorizer()).then_some(metering),
            "ratios": {
                "throughput": measured.ratio(|round| round.rate), "throughput_by_cpu": measured.ratio(|round| 1.0 / round.all_cpu()),
                "p50": measured.ratio(|round| round.p50), "p99": measured.ratio(|round| round.p99),
                "p999": measured.ratio(|round| round.p999), "server_cpu": measured.ratio(|round| round.server_cpu),
            },
            "denied": measured.refused(), "crypto_alone_us": measured.alone_us, "bytes_a_token": measured.bytes_a_token,
            "service": side(&measured.service), "floor": side(&measured.floor),
        })
    }
}

/// As the progress shows it.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = &self.measured;
        let us = |rounds: &[Round], figure: fn(&Round) -> f64| format!("{:.1}", middle(rounds, figure));
        write!(
            f,
            "{:<62} throughput {:.2}, p50 {:.2}; us a call: client {} (floor {}), server {} (floor {}), store {}",
            self.case.to_string(),
            measured.ratio(|round| round.rate),
            measured.ratio(|round| round.p50),
            us(&measured.service, |round| round.client_cpu),
            us(&measured.floor, |round| round.client_cpu),
            us(&measured.service, |round| round.server_cpu),
            us(&measured.floor, |round| round.server_cpu),
            us(&measured.service, |round| round.store_cpu),
        )?;
        if let Some(alone) = measured.alone_us {
            write!(f, "; the signature alone {alone:.1}")?;
        }
        measured.bytes_a_token.map_or(Ok(()), |bytes| write!(f, "; {bytes:.0} bytes a remembered token"))
    }
}

/// All rounds of a side: what the medians were taken of.
fn side(rounds: &[Round]) -> Vec<Value> {
    let round = |round: &Round| {
        json!({
            "a_second": round.rate, "p50_us": round.p50, "p99_us": round.p99, "p999_us": round.p999,
            "client_cpu_us": round.client_cpu, "server_cpu_us": round.server_cpu, "store_cpu_us": round.store_cpu,
        })
    };
    rounds.iter().map(round).collect()
}

fn changes(loading: &Loading) -> Option<String> {
    let ([edit, worst_edit], [suspension, worst_suspension]) = (extremes(&loading.edits), extremes(&loading.suspensions));
    let row = format!(
        "| {:.1} s | {} MB | {} MB | {} KB | {edit:.0} ms, {worst_edit:.0} ms | {suspension:.0} ms, {worst_suspension:.0} ms |",
        loading.start.as_secs_f64(),
        loading.resident_mb,
        loading.peak_mb,
        loading.resident_mb * 1024 / 10_000
    );
    let title = format!("10,000 tenants, 4 APIs and 10 subscriptions each (ext-authz); changes: median, worst of {}:", loading.edits.len());
    table(
        &title,
        "| load until ready | memory | at its highest | memory a tenant | contract edited, until decided upon | tenant suspended, until refused |",
        [row],
    )
}

/// Median and worst of sorted times, in milliseconds.
fn extremes(times: &[Duration]) -> [f64; 2] {
    let ms = |at: usize| times.get(at).map_or(0.0, |one| one.as_secs_f64() * 1e3);
    [ms(times.len() / 2), ms(times.len().saturating_sub(1))]
}
