//! The authorizer: whose request is it, and what may it reach. One request walks through `attributes`, `tenant`, `route`, `guardrails`
//! and `reply`, and where its limits are charged here through `limits`.

pub mod args;
pub mod attributes;
pub mod context_token;
pub mod decide;
pub mod explain;
#[cfg(test)]
mod fixture;
pub mod guardrails;
mod json;
pub mod limits;
#[cfg(test)]
mod noninterference;
pub mod offload;
pub mod process;
pub mod purse;
pub mod record;
pub mod reply;
pub mod resolve;
pub mod route;
pub mod serve;
pub mod service;
pub mod shares;
pub mod tenant;
pub mod verdict;
