//! A platform whose tenants come, go and change their plans, as the loader makes snapshots of it.

use std::{fmt::Write as _, sync::Arc};

use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
    snapshot::Snapshot,
    tenant::Tenant,
};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy},
    prop_oneof,
};

pub(crate) const TENANTS: usize = 4;
const PLANS: usize = 3;

/// A plan's figures.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    requests: u64,
    burst: u64,
    guaranteed: Option<(u64, u64)>,
}

/// What happens to a platform.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A tenant asks, so much later than whatever was before, for so much; for no number: for as much as its guarantee holds.
    Ask { after_us: u64, tenant: usize, cost: Option<u64> },
    /// Somebody without a guarantee takes whatever the platform has.
    Drain,
    /// A plan's text changes.
    Replan { plan: usize, to: Plan },
    /// A tenant moves to another plan, or comes if it is not there.
    Move { tenant: usize, plan: usize },
    /// A tenant is deleted; if it comes back it is another one.
    Leave { tenant: usize },
}

/// Where a history begins.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    global: u64,
    plans: Vec<Plan>,
    tenants: Vec<usize>,
}

fn any_plan() -> impl Strategy<Value = Plan> {
    // Bursts of guarantees add up to many times what the platform itself holds.
    let guaranteed = (1_u64..=300, prop_oneof![Just(1_u64), 1_u64..=60, Just(3600)]);
    (prop_oneof![1_u64..3_000, Just(100_000)], 1_u64..4, option::weighted(0.7, guaranteed)).prop_map(|(requests, burst, guaranteed)| Plan {
        requests,
        burst,
        guaranteed,
    })
}

pub(crate) fn any_start() -> impl Strategy<Value = Start> {
    (60_u64..2_000, vec(any_plan(), PLANS), vec(0..PLANS, TENANTS)).prop_map(|(global, plans, tenants)| Start { global, plans, tenants })
}

/// Mostly asks, and among them changes; `from` is the first tenant that comes and goes, the ones before stay where they are.
pub(crate) fn any_events(from: usize) -> impl Strategy<Value = Vec<Event>> {
    let after_us = prop_oneof![6 => Just(0_u64), 5 => 0_u64..200_000, 2 => 0_u64..20_000_000];
    let cost = prop_oneof![6 => Just(Some(1_u64)), 4 => (1_u64..10).prop_map(Some), 2 => (0_u64..400).prop_map(Some), 4 => Just(None)];
    vec(
        prop_oneof![
            30 => (after_us, 0..TENANTS, cost).prop_map(|(after_us, tenant, cost)| Event::Ask { after_us, tenant, cost }),
            4 => Just(Event::Drain),
            1 => (0..PLANS, any_plan()).prop_map(|(plan, to)| Event::Replan { plan, to }),
            1 => (from..TENANTS, 0..PLANS).prop_map(|(tenant, plan)| Event::Move { tenant, plan }),
            1 => (from..TENANTS).prop_map(|tenant| Event::Leave { tenant }),
        ],
        1..120,
    )
}

/// A platform at one moment of its history.
pub(crate) struct Platform {
    catalog: Catalog,
    global: u64,
    plans: Vec<Plan>,
    /// The plan of each tenant that is there, and how many bore its name before.
    tenants: Vec<(Option<usize>, u32)>,
    snapshot: Arc<Snapshot>,
}

impl Platform {
    pub(crate) fn start(start: &Start) -> Self {
        let tenants: Vec<_> = start.tenants.iter().map(|plan| (Some(*plan), 0)).collect();
        let mut catalog = Catalog::new(Arc::new(SystemClock));
        let snapshot = catalog.apply(changes_of(&[("all.yaml", &text(start.global, &start.plans, &tenants))])).unwrap();
        Self { catalog, global: start.global, plans: start.plans.clone(), tenants, snapshot }
    }

    /// The snapshot that decides now.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A tenant, if it is there and was let in.
    pub(crate) fn tenant(&self, number: usize) -> Option<&Arc<Tenant>> {
        self.snapshot.tenant(&name(number))
    }

    /// Changes it, as the operator's files change.
    pub(crate) fn change(&mut self, event: &Event) {
        match event {
            Event::Ask { .. } | Event::Drain => return,
            Event::Replan { plan, to } => self.plans[*plan] = to.clone(),
            Event::Move { tenant, plan } => self.tenants[*tenant].0 = Some(*plan),
            Event::Leave { tenant } => {
                if self.tenants[*tenant].0.take().is_some() {
                    self.tenants[*tenant].1 += 1;
                }
            }
        }
        let text = text(self.global, &self.plans, &self.tenants);
        self.snapshot = self.catalog.apply(changes_of(&[("all.yaml", &text)])).unwrap();
    }
}

fn name(tenant: usize) -> String {
    format!("t{tenant}")
}

fn text(global: u64, plans: &[Plan], tenants: &[(Option<usize>, u32)]) -> String {
    let mut text = String::new();
    let mut resource = |kind: &str, name: &str, spec: &str| {
        writeln!(text, "---\napiVersion: gostoa.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}").unwrap();
    };
    resource("Platform", "platform", &format!("rateLimit: {{ requestsPerMinute: {global} }}"));
    for (number, Plan { requests, burst, guaranteed }) in plans.iter().enumerate() {
        let guaranteed = guaranteed.map_or(String::new(), |(requests, seconds)| {
            format!(", guaranteed: {{ requestsPerMinute: {requests}, burstSeconds: {seconds} }}")
        });
        let limit = format!("rateLimit: {{ requestsPerMinute: {requests}, burstMultiplier: {burst}.0 }}");
        resource("Plan", &format!("p{number}"), &format!("{limit}{guaranteed}"));
    }
    for (number, (plan, before)) in tenants.iter().enumerate() {
        if let Some(plan) = plan {
            resource("Tenant", &name(number), &format!("plan: p{plan}, uid: u{number}-{before}"));
        }
    }
    text
}
