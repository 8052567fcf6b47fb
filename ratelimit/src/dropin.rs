//! The drop-in for envoyproxy/ratelimit: its environment variables, its configuration, its answers.
//!
//! [`settings`] reads the variables, [`rules`] is the configuration as a domain (and finds the limit of a descriptor), and whatever
//! follows a source of rules publishes them in [`live`]. [`stats`] counts under the original's names.

pub mod live;
pub mod rules;
pub mod settings;
pub mod stats;
