//! Limits that Check charges itself (`--store` given to ext-authz): the same answers and the same counters as through the rate limit filter, once for each request
//! whoever stands in its chain, and closed where nobody would charge.

#[path = "one_hop/contract.rs"]
mod contract;
#[path = "one_hop/fleet.rs"]
mod fleet;
#[path = "one_hop/outages.rs"]
mod outages;
#[path = "one_hop/parity.rs"]
mod parity;

use bulkhead_tests::{
    client::Request,
    config::Config,
    deadline::{self, PATIENCE},
    world::{Builder, World},
};
use serde_json::json;

const INVOICES: &str = "/acme/billing-api/invoices";
const GUARDRAILS: &str = "namespaces/tenant-acme/guardrails.yaml";
/// Where acme's requests are counted that [`holding`] bounds.
const COUNTER: &str = "/counters/acme/quota/sliding.86400";

/// A world on one Valkey in which ext-authz charges the limits, and ratelimit runs beside it.
fn world<'a>() -> Builder<'a> {
    World::builder().one_hop().valkey()
}

/// acme has so many requests, and nothing of them comes back while a test runs.
fn holding(requests: u32) -> impl Fn(&Config) {
    move |config| {
        config.edit("plans.yaml", |plan| plan["spec"]["quotas"] = json!([{ "requests": requests, "per": "day", "window": "sliding" }]));
    }
}

/// acme's request, by its token.
fn invoices(world: &World) -> Request {
    Request::get(INVOICES).bearer(&world.acme.issuer.token().sign())
}

async fn until_status(world: &World, request: &Request, status: u16) {
    let what = format!("{status} to {request:?}");
    deadline::until(&what, PATIENCE, || async { (world.send(request).await.status == status).then_some(()) }).await;
}
