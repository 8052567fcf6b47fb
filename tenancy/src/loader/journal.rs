//! Saying what is wrong with the configuration: each fault once when it appears, and once when it is resolved.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    fault::{Fault, Severity},
    snapshot::Snapshot,
};

/// How many lines one partition gets for one change: its author finds the rest with `validate`.
const LINES_A_PARTITION: usize = 20;
/// How many lines one change gets.
const LINES: usize = 500;

/// The faults that were said.
#[derive(Debug, Default)]
pub(super) struct Journal {
    said: HashMap<Key, Fault>,
}

/// What makes two faults the same. Not the line: an edit above moves it.
type Key = (Arc<str>, String, String);

fn key(fault: &Fault) -> Key {
    (Arc::clone(&fault.file), fault.field.clone(), fault.message.clone())
}

/// The namespace whose partition a file lies in; empty for the operator's, which so come first.
fn namespace(fault: &Fault) -> &str {
    fault.file.strip_prefix("namespaces/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

impl Journal {
    /// Says what is new and what is resolved among all faults of the moment.
    pub(super) fn note(&mut self, faults: &[Fault], snapshot: &Snapshot) {
        let now: HashMap<Key, &Fault> = faults.iter().map(|fault| (key(fault), fault)).collect();
        let new: Vec<&Fault> = faults.iter().filter(|fault| !self.said.contains_key(&key(fault))).collect();
        let resolved: Vec<&Fault> = self.said.iter().filter(|(key, _)| !now.contains_key(*key)).map(|(_, fault)| fault).collect();
        if new.is_empty() && resolved.is_empty() {
            return;
        }
        let tenants: HashMap<&str, &str> = snapshot.tenants().map(|tenant| (tenant.namespace.as_str(), tenant.name.as_str())).collect();
        let tenant = |namespace: &str| tenants.get(namespace).copied().unwrap_or_default();
        each(&new, |namespace, fault| {
            let Fault { file, line, column, field, message, severity } = fault;
            let tenant_id = tenant(namespace);
            match severity {
                Severity::Error => tracing::error!(%file, line, column, field, namespace, tenant_id, "configuration: {message}"),
                Severity::Warning => tracing::warn!(%file, line, column, field, namespace, tenant_id, "configuration: {message}"),
            }
        });
        each(&resolved, |namespace, fault| {
            let Fault { file, field, message, .. } = fault;
            tracing::info!(%file, field, namespace, tenant_id = tenant(namespace), "configuration, resolved: {message}");
        });
        self.said = faults.iter().map(|fault| (key(fault), fault.clone())).collect();
    }
}

/// Says faults, partition by partition, within the bounds.
fn each(faults: &[&Fault], say: impl Fn(&str, &Fault)) {
    let mut partitions: BTreeMap<&str, Vec<&Fault>> = BTreeMap::new();
    for fault in faults {
        partitions.entry(namespace(fault)).or_default().push(fault);
    }
    let mut left = LINES;
    for (namespace, faults) in partitions {
        let said = faults.len().min(LINES_A_PARTITION).min(left);
        faults.iter().take(said).for_each(|fault| say(namespace, fault));
        left -= said;
        let more = faults.len() - said;
        if more > 0 && left > 0 {
            tracing::warn!(namespace, more, "configuration: more of the same partition; validate shows all");
        }
    }
    if left == 0 {
        tracing::warn!(faults = faults.len(), "configuration: more than one change shows in the log; validate shows all");
    }
}

#[cfg(test)]
mod tests;
