//! What a tenant is, what it may reach and how much it may use: the domain of Bulkhead. It knows no transport.
//!
//! Resources come from a source, are parsed and checked into the types here, and joined into an immutable [`snapshot::Snapshot`] that both
//! services decide by.

pub mod address;
pub mod api;
pub mod calendar;
pub mod catalog;
pub mod clock;
pub mod decode;
pub mod fault;
pub mod grant;
pub mod guardrail;
pub mod host;
pub mod issuer;
pub mod judge;
pub mod limit;
pub mod loader;
pub mod name;
pub mod openapi;
pub mod place;
pub mod platform;
pub mod policy;
mod rendering;
pub mod resource;
pub mod snapshot;
pub mod source;
pub mod subscription;
pub mod tenant;
pub mod tool;
pub mod tree;
pub mod upstream;
pub mod yaml;
