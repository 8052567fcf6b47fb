//! Judging resources: what the values of one resource mean together, under the defaults and beside the operator's own.

pub mod issuer;
pub mod plan;
pub mod platform;
pub mod tenant;
