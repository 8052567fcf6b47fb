//! Envoy's messages, and the contract between Envoy and the two services. The only place that names `envoy-types`.

pub mod contract;
pub mod json;
pub mod wire;

pub use envoy_types::pb;
