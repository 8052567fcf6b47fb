//! Attacks on the catalog, by the rule that each would break.

mod conflict;
mod deletion;
mod history;
mod increment;
mod last_good;
mod partition;
mod world;
