//! The limiter's admin door, through the real door: counters that an operator holds, and what was metered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod changes;
mod counters;
mod metering;
mod stage;
#[path = "../support/mod.rs"]
mod support;
