//! What is in a body: personal data, secrets and blocked topics, found and taken out. It knows no tenant and no transport.
//!
//! A [`Filter`] is compiled once, when a policy is loaded, and then reads whole bodies: whoever calls has buffered them, so nothing can be
//! split between two calls. [`Filter::scan`] says what is there; [`Filter::redact`] also writes the body anew without the personal data.
//! What a body of each type and encoding is answered with stands in `docs/content.md`.

mod detector;
mod filter;
mod media;
mod topics;

pub use detector::Detector;
pub use filter::{Filter, Found, Redacted};
pub use media::{Media, Unscannable};
pub use topics::{TopicError, TopicMatcher, Topics};
