//! Audit: who did what, and what was decided, in a stream for each tenant that nobody can quietly change afterwards.
//!
//! A stream is the records of one namespace by one writer: `<region's folder>/<namespace>/<service>-<instance>.jsonl`, JSON lines whose hashes
//! form a [`chain`]. What has no proven tenant goes to a stream of its own. Each region's folder has a [`writer`] thread, and each stream a
//! bounded [`queue`] with a reserve for records of `audit: full` (S11); what is denied beyond a rate is [`merge`]d.
//!
//! Under `audit: full` nothing is answered before its record is accepted ([`audit::Receipt`]). Otherwise records are best effort, and those that
//! are lost are counted.
//!
//! [`verify`] reads the files again, behind links too, and says what it does not read. It finds every record that was changed, removed, repeated or moved, and records cut off at the end as long
//! as the stream's head is there. It cannot find: that whole streams were deleted with their heads; that files and head were put back to an
//! earlier state; and, without a key ([`chain::Seal::Keyed`]), that somebody wrote the whole chain anew. Keep the last hash that `verify` prints
//! elsewhere, and give it to the next run, to find these too.

pub mod audit;
pub mod chain;
pub mod descriptors;
pub mod file;
mod folder;
mod head;
mod home;
pub mod keep;
pub mod merge;
mod names;
mod queue;
pub mod record;
pub mod refused;
pub mod settings;
mod tail;
pub mod text;
pub mod verify;
pub mod writer;
