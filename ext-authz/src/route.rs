//! Step 3: which API of the caller's own contract is meant, and where its requests go.

pub mod address;
pub mod path;
