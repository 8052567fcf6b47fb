//! Judging resources: each under what it depends on. The operator's kinds ([`platform`], [`plan`], [`tenant`]) become what is granted; what
//! a tenant wrote is judged first by itself ([`draft`]), then under what it is granted ([`fit`]).

pub mod bound;
pub(crate) mod contract;
pub(crate) mod draft;
pub(crate) mod fit;
mod guardrail;
pub mod issuer;
pub mod plan;
pub mod platform;
mod remains;
mod shadow;
mod subscription;
pub mod tenant;
mod tool;
pub(crate) mod unread;

#[cfg(test)]
mod tests;
