//! The rate limit service in process: every case of S9, what answers say (S22), and what happens while the store is away (S12, S24).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod answers;
mod descriptors;
mod flood;
mod hostile;
mod outage;
mod process;
mod quotas;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
mod world;
