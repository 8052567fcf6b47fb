//! A change by hand in the audit streams: the tenant's own, or the platform's.

use std::{sync::Arc, time::Duration};

use bulkhead_audit::{
    audit::Whom,
    record::{self, Actor, Event, Record, Whose},
    text::Text,
};
use bulkhead_tenancy::tenant::Tenant;
use tokio::time::Instant;

use super::{Counters, reading::Reading, record::Change};

/// How long an operator waits for the record.
const PATIENCE: Duration = Duration::from_secs(5);

impl Counters {
    /// Puts a change on record. It is made by then: what cannot be recorded stands in the log, and that it could not.
    pub(super) async fn put_on_record(&self, tenant: Option<&Arc<Tenant>>, change: &Change) {
        let (Some(streams), Some(snapshot)) = (&self.audit, self.live.load()) else { return };
        let Some(stream) = streams.stream(snapshot.platform(), tenant.map_or(Whom::Platform, Whom::Tenant)) else { return };
        let kept = match streams.must(&stream, tenant, record(tenant, change)) {
            Ok(receipt) => receipt.until(Instant::now() + PATIENCE).await,
            Err(refused) => Err(refused),
        };
        if let Err(error) = kept {
            tracing::error!(target: "audit", counter = change.counter, %error, "a change by hand is in no audit stream");
        }
    }
}

fn record(tenant: Option<&Arc<Tenant>>, change: &Change) -> Record {
    let remaining = |reading: &Option<Reading>| {
        let remaining = reading.as_ref()?.now.as_ref()?.remaining;
        i64::try_from(remaining).ok()
    };
    Record {
        event: Event::CounterChange,
        whose: tenant.map(Whose::from),
        actor: Actor { operator: Some(change.by.clone()), ..Actor::default() },
        change: Some(record::Change {
            action: change.action,
            counter: Text::bounded(&change.counter, 512),
            requests: change.requests,
            reason: change.reason.as_deref().map(|reason| Text::bounded(reason, 256)),
            outcome: change.outcome.as_str(),
            before: remaining(&change.before),
            after: remaining(&change.after),
        }),
        ..Record::default()
    }
}
