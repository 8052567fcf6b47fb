//! The authorizer: whose request is it, and what may it reach. One request walks through `attributes`, `tenant`, `route`, `guardrails`
//! and `reply`.

pub mod attributes;
pub mod decide;
pub mod guardrails;
pub mod reply;
pub mod route;
pub mod tenant;
pub mod verdict;
