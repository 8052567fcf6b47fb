//! Resets and grants.

use std::sync::Arc;

use bulkhead_doors::admin::Caller;
use bulkhead_tenancy::{limit::MAX_REQUESTS, tenant::Tenant};
use serde::Deserialize;

use super::{
    Counters,
    inventory::Counter,
    record::{self, Outcome},
    within,
};
use crate::{
    admin::Refusal,
    metering::hours::moment,
    store::{Adjustment, Change, Store, StoreError},
};

/// The longest reason that is recorded, in bytes.
const REASON_BYTES: usize = 256;

/// The body of a change.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    requests: Option<u64>,
    reason: Option<String>,
}

/// What is to be done with a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Reset,
    Grant,
}

impl Action {
    /// The last part of a path, and what stands before it.
    pub(super) fn of(path: &str) -> Option<(&str, Self)> {
        let (counter, action) = path.rsplit_once('/')?;
        match action {
            "reset" => Some((counter, Self::Reset)),
            "grant" => Some((counter, Self::Grant)),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Grant => "grant",
        }
    }
}

impl Order {
    fn change(&self, action: Action) -> Result<Change, Refusal> {
        let bad = |why: String| Err(Refusal::Bad(why));
        if self.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES) {
            return bad(format!("`reason` must have at most {REASON_BYTES} bytes"));
        }
        match (action, self.requests) {
            (Action::Reset, None) => Ok(Change::Reset),
            (Action::Reset, Some(_)) => bad("a reset takes no `requests`".to_owned()),
            (Action::Grant, Some(requests @ 1..=MAX_REQUESTS)) => Ok(Change::Grant { requests }),
            (Action::Grant, _) => bad(format!("a grant needs `requests`, 1 to {MAX_REQUESTS}")),
        }
    }
}

impl Counters {
    /// Changes a counter and records it, whatever becomes of it.
    ///
    /// # Errors
    /// A body that does not do: then nothing was asked of the store, and nothing is recorded.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        store: &dyn Store,
        counter: Counter,
        tenant: Option<Arc<Tenant>>,
        action: Action,
        order: Order,
    ) -> Result<record::Change, Refusal> {
        let change = order.change(action)?;
        let mut record = record::Change {
            at: moment(self.clock.now_us()),
            by: caller.to_string(),
            action: action.as_str(),
            counter: counter.path.clone(),
            tenant_uid: tenant.as_ref().map(|tenant| tenant.uid.to_string()),
            requests: order.requests,
            reason: order.reason,
            outcome: Outcome::NotDone,
            before: None,
            after: None,
        };
        let look =
            || async { self.read(store, std::slice::from_ref(&counter)).await.ok().and_then(|readings| readings.into_iter().next()) };
        record.before = look().await;
        if record.before.is_some() {
            let adjustment = Adjustment { key: counter.key.clone(), bucket: counter.bucket.clone(), change };
            let ledger = store.ledger();
            let adjusted = async { ledger.adjust(None, &[adjustment]).await.pop().unwrap_or(Err(StoreError::Garbled)) };
            record.outcome = outcome(&within(adjusted).await);
        }
        if record.outcome == Outcome::Done {
            record.after = look().await;
        }
        self.changes.add(record.clone());
        self.put_on_record(tenant.as_ref(), &record).await;
        Ok(record)
    }
}

fn outcome(adjusted: &Result<bool, StoreError>) -> Outcome {
    match adjusted {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::NoBucket,
        // Nothing was sent.
        Err(StoreError::Away | StoreError::Busy) => Outcome::NotDone,
        Err(_) => Outcome::Unknown,
    }
}
