//! The drop-in for envoyproxy/ratelimit: the real binary with the original's variables, on the real Valkey, in memory, and behind the real Envoy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod answers;
mod case;
mod counters;
mod edges;
mod flood;
mod hostile;
mod management;
mod ports;
mod reload;
mod standing_in;
mod statistics;
mod stores;
mod switches;
mod through_envoy;
