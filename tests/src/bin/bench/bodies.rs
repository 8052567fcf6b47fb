//! What it costs to read: the same request with a body that no policy reads, and with one that a policy reads.

use std::{fmt, time::Duration};

use bulkhead_tests::service::Service;
use serde_json::{Value, json};

use crate::{
    calls::Calls,
    floor::Floor,
    household::Household,
    load::{Measured, Subject, compare, middle, warm_up},
    matrix::Sockets,
    table,
};

/// What a tenant has done with bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nothing: what Envoy's showing a body costs by itself.
    Unread,
    /// Two topics, in words and in a pattern.
    Topics,
    /// Every kind of personal data.
    Pii,
    /// The second article's rule, which reads no body.
    Rule,
}

/// One situation, measured.
pub(crate) struct Row {
    pub(crate) reading: Reading,
    pub(crate) kib: usize,
    pub(crate) measured: Measured,
}

/// All tenants and what each has done.
const READINGS: [Reading; 4] = [Reading::Unread, Reading::Topics, Reading::Pii, Reading::Rule];
const SIZES: [usize; 3] = [1, 16, 64];
/// Few, so that no reading waits for a place: what is measured is the reading.
const STREAMS: usize = 4;

impl Reading {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Topics => "topics",
            Self::Pii => "personal data",
            Self::Rule => "rule",
        }
    }

    const fn spec(self) -> Option<&'static str> {
        match self {
            Self::Unread => None,
            Self::Topics => Some("contentFilter: { blockedTopics: [competitor-names, internal-pricing] }"),
            Self::Pii => Some("contentFilter: { piiDetection: block }"),
            Self::Rule => Some(
                "rules: |\n  allow if {\n      input.resource.namespace == input.caller.tenant_namespace\n      \"billing-reader\" in input.caller.roles\n  }",
            ),
        }
    }
}

/// Measures every reading at every size.
pub(crate) async fn measure(floor: &Floor, time: Duration, told: impl Fn(&Row)) -> Vec<Row> {
    let household = READINGS
        .iter()
        .enumerate()
        .filter_map(|(tenant, reading)| Some((tenant, reading.spec()?)))
        .fold(Household::of(READINGS.len()), |household, (tenant, spec)| household.policy(tenant, spec));
    let service = Service::ext_authz(household.path(), &["--body", "on"]).await;
    let mut rows = Vec::new();
    for kib in SIZES {
        for (tenant, reading) in READINGS.into_iter().enumerate() {
            let calls = Calls::check_body(tenant, household.key(), &body(kib * 1024));
            let subject = Subject { uri: format!("http://{}", service.grpc()), process: service.id(), store: None };
            let measured = compare(&floor.subject(Sockets::Tcp), &subject, &calls, STREAMS, time, warm_up(time)).await;
            let row = Row { reading, kib, measured };
            told(&row);
            rows.push(row);
        }
    }
    rows
}

/// A JSON body of orders, none of which holds what anybody looks for.
pub(crate) fn body(bytes: usize) -> String {
    let mut orders = Vec::new();
    let mut written = 0;
    while written < bytes {
        let number = orders.len();
        let order = format!(
            r#"{{"order":{number},"customer":"Dana Whitfield","note":"Deliver to the back door, ring twice; call before noon if the gate is shut.","total":{number}.50,"items":["bolt","washer"]}}"#
        );
        written += order.len() + 1;
        orders.push(order);
    }
    format!("[{}]", orders.join(","))
}

/// As a table; none where nothing was measured.
pub(crate) fn table(rows: &[Row]) -> Option<String> {
    let shown = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1}"));
    let line = |row: &Row| {
        let (more, each) = (shown(row.more_than_unread(rows)), shown(row.more_a_kib(rows)));
        format!("| {} | {} | {:.1} | {more} | {each} |", row.reading.as_str(), row.kib, row.server_us())
    };
    table::table(
        "What reading costs: processor time of ext-authz for a request with a JSON body.",
        "| read | KiB | us a request | more than unread, us | us a KiB |",
        rows.iter().map(line),
    )
}

/// As JSON.
pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "read": row.reading.as_str(), "kib": row.kib, "server_us": row.server_us(), "more_than_unread_us": row.more_than_unread(rows),
            "us_a_kib": row.more_a_kib(rows), "denied": row.measured.refused(),
        })
    };
    rows.iter().map(row).collect()
}

impl Row {
    /// Processor time of the service for a request, in microseconds.
    pub(crate) fn server_us(&self) -> f64 {
        middle(&self.measured.service, |round| round.server_cpu)
    }

    /// By how much that is more than for the same body unread.
    pub(crate) fn more_than_unread(&self, rows: &[Self]) -> Option<f64> {
        let unread = rows.iter().find(|row| row.reading == Reading::Unread && row.kib == self.kib)?;
        (self.reading != Reading::Unread).then(|| self.server_us() - unread.server_us())
    }

    /// The same for each KiB; a rule reads no body.
    #[expect(clippy::cast_precision_loss, reason = "a few KiB")]
    pub(crate) fn more_a_kib(&self, rows: &[Self]) -> Option<f64> {
        let more = self.more_than_unread(rows)?;
        (self.reading != Reading::Rule).then(|| more / self.kib as f64)
    }
}

/// As the progress shows it.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a body of {} KiB, {}: {:.1} us a request ({} refused)",
            self.kib,
            self.reading.as_str(),
            self.server_us(),
            self.measured.refused()
        )
    }
}
