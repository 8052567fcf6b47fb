//! The configuration half of the drop-in for envoyproxy/ratelimit: tables of configurations and requests, and sources of rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod dump;
mod errors;
mod properties;
mod requests;
mod runtime;
mod xds;
