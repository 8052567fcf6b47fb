//! One behaviour suite over every store, properties over random schedules, and faults of the store's values.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod behaviour;
mod both;
mod faults;
mod guarantee;
mod kinds;
mod leases;
mod order;
mod properties;
mod quotas;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
