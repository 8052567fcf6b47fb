//! The figures, as a table or as JSON.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{
    load::{Measured, Side},
    loading::Loading,
};

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) loading: Option<Loading>,
    pub(crate) rows: Vec<Row>,
}

/// One service in one situation.
pub(crate) struct Row {
    pub(crate) service: &'static str,
    pub(crate) store: &'static str,
    pub(crate) tenants: usize,
    pub(crate) streams: usize,
    pub(crate) measured: Measured,
}

impl Report {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(loading) = &self.loading {
            let _ = writeln!(
                text,
                "10,000 tenants, 4 APIs and 10 subscriptions each (ext-authz); changes: median, worst of {}:\n",
                loading.edits.len()
            );
            let _ = writeln!(
                text,
                "| load until ready | memory | at its highest | contract edited, until decided upon | tenant suspended, until refused |"
            );
            let _ = writeln!(text, "|---|---|---|---|---|");
            let ([edit, worst_edit], [suspension, worst_suspension]) = (extremes(&loading.edits), extremes(&loading.suspensions));
            let _ = writeln!(
                text,
                "| {:.1} s | {} MB | {} MB | {edit:.0} ms, {worst_edit:.0} ms | {suspension:.0} ms, {worst_suspension:.0} ms |\n",
                loading.start.as_secs_f64(),
                loading.resident_mb,
                loading.peak_mb
            );
        }
        let _ = writeln!(text, "Ratios to a tonic server that decides nothing, measured in turn with it:\n");
        let _ = writeln!(text, "| service | store | tenants | streams | throughput | p50 | p99 | p99.9 | floor: a second, p50 | denied |");
        let _ = writeln!(text, "|---|---|---|---|---|---|---|---|---|---|");
        for row in &self.rows {
            let (service, floor) = (&row.measured.service, &row.measured.floor);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0}, {:.0} us | {} |",
                row.service,
                row.store,
                row.tenants,
                row.streams,
                service.rate / floor.rate,
                service.p50 / floor.p50,
                service.p99 / floor.p99,
                service.p999 / floor.p999,
                floor.rate,
                floor.p50,
                service.refused
            );
        }
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
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let (service, floor) = (&row.measured.service, &row.measured.floor);
                json!({
                    "service": row.service, "store": row.store, "tenants": row.tenants, "streams": row.streams,
                    "throughput_ratio": service.rate / floor.rate, "p50_ratio": service.p50 / floor.p50, "p99_ratio": service.p99 / floor.p99,
                    "p999_ratio": service.p999 / floor.p999, "denied": service.refused, "service_figures": side(service), "floor": side(floor),
                })
            })
            .collect();
        json!({ "loading": loading, "decisions": rows }).to_string()
    }
}

/// Median and worst of sorted times, in milliseconds.
fn extremes(times: &[Duration]) -> [f64; 2] {
    let ms = |at: usize| times.get(at).map_or(0.0, |one| one.as_secs_f64() * 1e3);
    [ms(times.len() / 2), ms(times.len().saturating_sub(1))]
}

fn side(side: &Side) -> Value {
    json!({ "a_second": side.rate, "p50_us": side.p50, "p99_us": side.p99, "p999_us": side.p999 })
}
