//! Hosts and upstreams: overlap, not equality, is a conflict (S21).

use std::collections::BTreeMap;

use super::{Claim, Rivals, add_holder, another};
use crate::{
    host::{HostName, HostPattern},
    name::TenantName,
    platform::HostTemplate,
};

/// A pattern of hosts, and whether other tenants that share too may stand beside it (upstreams of `isolation: pool`).
///
/// A tenant that moves between sharing and not sharing makes a new claim: its neighbours, who did not move, are the incumbents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reach {
    /// The hosts.
    pub(crate) pattern: HostPattern,
    /// Whether the claim stands beside others that share.
    pub(crate) shared: bool,
}

/// Claims to patterns, searchable by overlap.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    exclusive: Tree<TenantName>,
    shared: Tree<TenantName>,
}

impl Rivals<Reach> for Patterns {
    fn add(&mut self, claim: &Claim<Reach>) {
        let tree = if claim.thing.shared { &mut self.shared } else { &mut self.exclusive };
        tree.add(&claim.thing.pattern, &claim.tenant);
    }

    fn any(&self, claim: &Claim<Reach>) -> bool {
        let (pattern, tenant) = (&claim.thing.pattern, &claim.tenant);
        self.exclusive.overlapped(pattern, tenant) || (!claim.thing.shared && self.shared.overlapped(pattern, tenant))
    }
}

/// Patterns by their labels from the right, so that whatever lies below a domain stands together, with who holds each: a tenant among
/// tenants, an API among those of one contract.
#[derive(Debug)]
pub(crate) struct Tree<H> {
    exact: BTreeMap<String, Vec<H>>,
    below: BTreeMap<String, Vec<H>>,
}

impl<H> Default for Tree<H> {
    fn default() -> Self {
        Self { exact: BTreeMap::new(), below: BTreeMap::new() }
    }
}

impl<H: Clone + PartialEq> Tree<H> {
    /// Adds a pattern.
    pub(crate) fn add(&mut self, pattern: &HostPattern, holder: &H) {
        let holders = match pattern {
            HostPattern::Exact(host) => self.exact.entry(from_the_right(host)).or_default(),
            HostPattern::Below(domain) => self.below.entry(from_the_right(domain)).or_default(),
        };
        add_holder(holders, holder);
    }

    /// Whether somebody else's pattern overlaps this one.
    pub(crate) fn overlapped(&self, pattern: &HostPattern, holder: &H) -> bool {
        let held_at = |tree: &BTreeMap<String, Vec<H>>, key: &str| tree.get(key).is_some_and(|holders| another(holders, holder));
        let held_from = |tree: &BTreeMap<String, Vec<H>>, key: &str, but: Option<&str>| {
            tree.range(key.to_owned()..)
                .take_while(|(at, _)| at.starts_with(key))
                .filter(|(at, _)| Some(at.as_str()) != but)
                .any(|(_, holders)| another(holders, holder))
        };
        match pattern {
            HostPattern::Exact(host) => {
                let key = from_the_right(host);
                held_at(&self.exact, &key) || ancestors(&key).any(|domain| held_at(&self.below, domain))
            }
            HostPattern::Below(domain) => {
                let key = from_the_right(domain);
                ancestors(&key).any(|domain| held_at(&self.below, domain))
                    || held_from(&self.below, &key, None)
                    // `*.example.com` is not `example.com` itself.
                    || held_from(&self.exact, &key, Some(&key))
            }
        }
    }
}

/// `billing.example.com` as `com.example.billing.`: each label ends in a dot, so that a prefix is always whole labels.
fn from_the_right(host: &HostName) -> String {
    let mut key = String::with_capacity(host.as_str().len() + 1);
    for label in host.as_str().rsplit('.') {
        key.push_str(label);
        key.push('.');
    }
    key
}

/// The keys of the domains that a host lies below: `com.`, `com.example.`.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    let whole = key.len();
    key.match_indices('.').map(|(dot, _)| &key[..=dot]).filter(move |domain| domain.len() < whole)
}

/// Whether a pattern holds a host that the platform's own template (`{tenant}.api.example.com`) gives to another tenant, existing or not.
pub(crate) fn template_conflict(template: &HostTemplate, pattern: &HostPattern, tenant: &TenantName) -> bool {
    match pattern {
        HostPattern::Exact(host) => template_label(template, host.as_str()).is_some_and(|label| label != tenant.as_str()),
        HostPattern::Below(domain) => {
            // Every host of the template ends in its suffix; `*.` and a domain holds some of them if the suffix lies at or below the
            // domain, or if the domain is the template's own tail with a label in it.
            let dotted = format!(".{domain}");
            if template.suffix.ends_with(&dotted) {
                return true;
            }
            let Some(head) = dotted.strip_suffix(template.suffix.as_str()) else { return false };
            // `head` is `.label` or `.more.label`: below it only what the prefix still adds on the left.
            let Some(label) = head.rsplit('.').next() else { return false };
            let left = head.strip_suffix(label).unwrap_or_default();
            let fits =
                template.prefix.len() >= left.len() && format!(".{}", template.prefix).ends_with(left) && !template.prefix.is_empty();
            fits && label != tenant.as_str()
        }
    }
}

/// The label that stands for `{tenant}` in a host of the template.
pub(crate) fn template_label<'a>(template: &HostTemplate, host: &'a str) -> Option<&'a str> {
    let label = host.strip_prefix(template.prefix.as_str())?.strip_suffix(template.suffix.as_str())?;
    (!label.is_empty() && !label.contains('.')).then_some(label)
}
