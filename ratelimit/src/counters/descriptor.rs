//! Counters of the drop-in: named by the domain and the entries that a request would send, found as the drop-in finds them.

use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{
    Counters,
    inventory::{Counter, Facts, PLATFORM},
};
use crate::{
    admin::Refusal,
    charge::Scope,
    dropin::rules::{Entry, Limit},
    store::Store,
};

/// The path of all of them, below the platform's.
pub const DESCRIPTOR: &str = "descriptor";

/// The most entries of a descriptor.
const MOST_ENTRIES: usize = 64;

/// One entry of a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What names a descriptor: the query `domain=...&entries=[{"key":"...","value":"..."}]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    domain: Option<String>,
    entries: Option<String>,
}

/// The counter of a descriptor: where it is kept, and the limit that it counts for.
pub(super) struct Found {
    pub(super) counter: Counter,
    pub(super) store: Arc<dyn Store>,
    pub(super) limit: Limit,
}

impl Named {
    /// Whether nothing is named.
    pub(super) fn is_empty(&self) -> bool {
        self.domain.is_none() && self.entries.is_none()
    }
}

impl Counters {
    /// The counter that a descriptor's hits would go to now.
    ///
    /// # Errors
    /// What is wrong with the query; or there is no drop-in here, no rule, or one that counts nothing.
    pub(super) fn descriptor(&self, named: Named) -> Result<Found, Refusal> {
        let dropin = self.dropin.as_ref().ok_or(Refusal::NotFound)?;
        let (Some(domain), Some(entries)) = (named.domain, named.entries) else {
            return Err(Refusal::Bad("a descriptor needs `domain` and `entries`".to_owned()));
        };
        let pairs: Vec<Pair> = serde_json::from_str(&entries)
            .map_err(|why| Refusal::Bad(format!("`entries` must be a list of {{\"key\", \"value\"}} in JSON: {why}")))?;
        if pairs.len() > MOST_ENTRIES {
            return Err(Refusal::Bad(format!("a descriptor may have at most {MOST_ENTRIES} entries here")));
        }
        let read: Vec<Entry<'_>> = pairs.iter().map(|pair| Entry { key: &pair.key, value: &pair.value }).collect();
        let limit = dropin.limit(&domain, &read).ok_or(Refusal::NotFound)?;
        let (store, key, bucket) = dropin.counting().window(&limit).ok_or(Refusal::NotFound)?;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = format!("{PLATFORM}/{DESCRIPTOR}?domain={}&entries={}", encoded(&domain), encoded(&entries));
        let facts = Facts { domain: Some(domain), entries: pairs, ..Facts::of(DESCRIPTOR) };
        let counter = Counter { path, facts, scope: Scope::Tenant, key, bucket };
        Ok(Found { counter, store: Arc::clone(store), limit })
    }

    /// A window that has room again is not remembered as used up; other replicas remember it until it ends.
    pub(super) fn forget(&self, limit: &Limit) {
        if let Some(dropin) = &self.dropin {
            dropin.counting().forget(limit);
        }
    }
}
