//! What strangers write, altered at random. A target reads bytes as a service would, and panics where something does not hold of the answer: its oracle.
//!
//! In the tests (`fuzz/tests/altered.rs`) each target plays its seed corpus and alterations of it for a moment; `cargo xtask fuzz` has libFuzzer look for
//! new ways, guided by coverage. What is found goes into `fuzz/corpus/<target>/`, and is then tried for ever.

mod admin;
pub mod alter;
mod check;
mod content;
mod contract;
mod identity;
mod limits;
mod mcp;
mod rules;

/// One parser, and what must hold of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Reads an input; panics where something does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "token", run: identity::token },
    Target { name: "jwks", run: identity::jwks },
    Target { name: "discovery", run: identity::discovery },
    Target { name: "contract", run: contract::contract },
    Target { name: "check", run: check::check },
    Target { name: "rls", run: limits::rls },
    Target { name: "rules", run: rules::rules },
    Target { name: "xds", run: rules::xds },
    Target { name: "json", run: rules::json },
    Target { name: "address", run: limits::address },
    Target { name: "settings", run: rules::settings },
    Target { name: "hours", run: limits::hours },
    Target { name: "counters", run: admin::counters },
    Target { name: "explain", run: admin::explain },
    Target { name: "body", run: content::body },
    Target { name: "mcp", run: mcp::message },
    Target { name: "tools-list", run: mcp::listing },
];

/// Text, if it is any: what is read as text is refused before where it is none.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}
