//! What is in a body: personal data, secrets and blocked topics, found and taken out. It knows no tenant and no transport.
//!
//! A [`Filter`] is compiled once, when a policy is loaded, and then reads whole bodies: whoever calls has buffered them, so nothing can be
//! split between two calls. [`Filter::scan`] says what is there; [`Filter::redact`] also writes the body anew without the personal data.
//! What a body of each type and encoding is answered with stands in `docs/content.md`.
//!
//! The path of a body: [`Media`] says what it is; `coding` undoes compression; `read` walks what it is made of (`read/json`, `read/form`,
//! `read/multipart`, ...) and hands over each piece of text; `text` folds a piece so that nothing hides in how it is written; `topics` and
//! `detect` look into it.

mod budget;
mod coding;
mod detect;
mod detector;
mod filter;
mod media;
mod read;
mod text;
mod topics;

pub use budget::{Budget, Room};
pub use coding::{decoded, is_plain};
pub use detector::Detector;
pub use filter::{Filter, Found, Redacted};
pub use media::{Media, Unscannable};
pub use read::REDACTED;
pub use topics::{TopicError, TopicMatcher, Topics};
