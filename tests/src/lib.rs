//! The harness: everything that a test on the real Envoy needs, each part usable alone.
//!
//! | module | what it gives |
//! |---|---|
//! | [`world`] | issuers, upstreams, both services, a store and Envoy, wired together from `examples/config` and `envoy/*.yaml` |
//! | [`envoy`] | the real Envoy, with one of the shipped files or a chain of a test's own |
//! | [`service`] | `bulkhead-ext-authz` and `bulkhead-ratelimit` as processes that can be killed and restarted |
//! | [`valkey`] | a store of a test's own: alone, under Sentinel, a cluster, with TLS, behind a slow way |
//! | [`keycloak`] | the real Keycloak with compose's realms |
//! | [`compose`] | docker-compose.yml, read |
//! | [`issuer`] | an OIDC issuer double: any header, any claims, any key; slow, dead, huge |
//! | [`upstream`] | an upstream double: tells what it saw, counts, hangs |
//! | [`double`] | doubles of the two services, of an external processor and of a collector of spans, which record what was sent |
//! | [`client`] | requests as bytes on a socket: odd paths, duplicate headers; HTTP/2 with trailers |
//! | [`config`] | a configuration folder that changes by atomic renames |
//! | [`port`] | ports for programs that cannot tell which one they were given |
//! | [`shared`] | one part for all tests that run at the same time |
//! | [`scale`] | a configuration folder of 10,000 tenants |
//! | [`deadline`] | waiting for a condition, never for luck |
//!
//! Processes and servers stop when their value is dropped; while a test panics, the end of each process's log is printed. Everything
//! listens on free loopback ports, so tests run side by side. The binaries are the ones that `cargo xtask test` built and fetched; a plain
//! `cargo test -p bulkhead-tests` finds those of an earlier build and `cargo xtask parts` (see [`parts`]), and fails where there are none.

pub mod client;
pub mod compose;
pub mod config;
pub mod deadline;
pub mod double;
pub mod envoy;
pub mod issuer;
pub mod keycloak;
pub mod parts;
pub mod port;
pub mod process;
pub mod scale;
pub mod service;
pub mod shared;
pub mod upstream;
pub mod valkey;
pub mod world;
