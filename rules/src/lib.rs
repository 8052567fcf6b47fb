//! Tenants' rules in Rego: read and checked at load, judged within a budget. [`regorus`] is the language; what is here is what keeps one
//! tenant's rule from costing another anything.
//!
//! A rule is hostile text over hostile input. So at load: a bounded text ([`parse`]), a part of the language without other documents, time,
//! chance or calls that grow ([`language`]), no recursion and a bounded depth of the stack ([`reach`]), and nothing built that could be
//! larger than a bound ([`growth`]), because no clock interrupts the comparison of two values; and whether it may read a tool's arguments at all
//! ([`reads`]). At evaluation: a bounded [`Input`], and a
//! budget of steps and processor time ([`budget`]).

mod budget;
mod builtins;
mod growth;
mod input;
mod language;
mod parse;
mod reach;
mod reads;
mod rules;
mod tree;

#[cfg(test)]
mod tests;

pub use budget::processor_time;
pub use input::{By, Caller, Input, MAX_INPUT_BYTES, MAX_TEXT_BYTES, MAX_VALUES, Mcp, Prepared, Request, Resource};
pub use parse::MAX_BYTES;
pub use rules::{Refused, Rules};

/// The Rego language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Version {
    V0,
    V1,
}

/// What is wrong with a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Wrong {
    /// The line in the text, from 1.
    pub line: u32,
    /// What is wrong. It quotes the text at most, never anything else.
    pub message: String,
}

impl Wrong {
    fn at(line: u32, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}
