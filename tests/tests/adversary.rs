//! The adversary: attacks on the boundary between tenants, each through the real Envoy, both services and a real store.
//!
//! acme is the attacker and globex the victim, unless a case says otherwise. Every attack asserts what the attacker is told, and that no
//! upstream saw anything of it; wherever it is cheap, the same request without its trick is served, so that nothing is refused for another reason.

#[path = "adversary/addresses.rs"]
mod addresses;
#[path = "adversary/claims.rs"]
mod claims;
#[path = "adversary/credentials.rs"]
mod credentials;
#[path = "adversary/forgery.rs"]
mod forgery;
#[path = "adversary/headers.rs"]
mod headers;
#[path = "adversary/issuers.rs"]
mod issuers;
#[path = "adversary/lesson_six.rs"]
mod lesson_six;
#[path = "adversary/outages.rs"]
mod outages;
#[path = "adversary/paths.rs"]
mod paths;
#[path = "adversary/protocols.rs"]
mod protocols;
#[path = "adversary/replays.rs"]
mod replays;
#[path = "adversary/routes.rs"]
mod routes;
#[path = "adversary/stage.rs"]
mod stage;
#[path = "adversary/tenants.rs"]
mod tenants;
