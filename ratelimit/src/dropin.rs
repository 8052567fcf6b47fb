//! The drop-in for envoyproxy/ratelimit: its environment variables, its configuration, its answers.
//!
//! [`settings`] reads the variables, [`rules`] is the configuration as a domain (and finds the limit of a descriptor). Whatever [`follow`]s a
//! source of rules, files (`runtime`, [`mod@file`]) or a management server ([`xds`]), publishes each load in [`live`]. [`service`] decides a call
//! ([`counting`] asks the store, `answer` writes), [`stats`] counts under the original's names. [`domains`] is the gRPC door, [`http`] the other
//! ports, [`serve`] opens them, [`start`] is how a process becomes the drop-in.

mod answer;
mod cache;
pub mod counting;
pub mod domains;
pub mod file;
pub mod follow;
pub mod health;
pub mod http;
pub mod live;
mod metadata;
pub mod rules;
mod runtime;
pub mod serve;
pub mod service;
pub mod settings;
pub mod start;
pub mod stats;
mod store;
pub mod xds;
