//! One behaviour suite over every store, properties over random schedules, and faults of the store's values.

mod behaviour;
mod faults;
mod properties;
#[path = "../support/mod.rs"]
mod support;
