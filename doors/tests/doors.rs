//! The three doors on real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what these functions do is part of the tests that call them")]

#[path = "doors/admin.rs"]
mod admin;
#[path = "doors/drain.rs"]
mod drain;
#[path = "doors/health.rs"]
mod health;
#[path = "doors/house.rs"]
mod house;
#[path = "doors/mutual_tls.rs"]
mod mutual_tls;
#[path = "doors/plaintext.rs"]
mod plaintext;
#[path = "doors/unary.rs"]
mod unary;
#[path = "doors/unix_socket.rs"]
mod unix_socket;
