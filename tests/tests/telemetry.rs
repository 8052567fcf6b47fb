//! What the services tell of themselves costs nobody an answer: logs that nobody reads, a collector that takes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what these functions do is part of the tests that call them")]

#[path = "telemetry/full_pipe.rs"]
mod full_pipe;
#[path = "telemetry/traces.rs"]
mod traces;
