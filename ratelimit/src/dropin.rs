//! The drop-in for envoyproxy/ratelimit: its environment variables, its configuration, its answers.
//!
//! [`settings`] reads the variables, [`rules`] is the configuration as a domain (and finds the limit of a descriptor). Whatever [`follow`]s a
//! source of rules, files (`runtime`, [`file`]) or a management server ([`xds`]), publishes each load in [`live`]. [`stats`] counts under
//! the original's names.

pub mod file;
pub mod follow;
pub mod live;
pub mod rules;
mod runtime;
pub mod settings;
pub mod stats;
pub mod xds;
