//! The limiter: how much of the shared capacity a request may use.
//!
//! A library with two doors: the rate limit service ([`rls`]) that Envoy asks, and ext-authz itself as the last step of Check. Both
//! build [`charge::Charge`]s from the snapshot ([`levels`]) and hand them to one [`limiter::Limiter`], so both charge the same counters.
//! [`limits`] is all of it put together, as a process runs it.
//!
//! One request on its way: [`rls`] reads the descriptors, [`levels`] turns them into a charge, [`limiter`] asks the [`store`] within the
//! deadline (or answers by the tenant's failure mode), [`outcome`] says who denied and when to come back, [`answer`] what the caller is told
//! of it, and [`rls`] puts that into Envoy's words.

pub mod admin;
pub mod answer;
pub mod args;
pub mod ask;
pub mod bucket;
pub mod charge;
pub mod counters;
pub mod counts;
pub mod dropin;
pub mod key;
pub mod lease;
pub mod levels;
pub mod limiter;
pub mod limits;
pub mod look;
pub mod metering;
mod model;
pub mod outcome;
pub mod rls;
mod shapes;
mod state;
pub mod store;
