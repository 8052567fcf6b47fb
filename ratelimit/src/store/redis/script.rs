//! The script's text and the name that the store knows it by.

use std::sync::LazyLock;

/// What the store runs.
pub(super) const SOURCE: &str = concat!(
    include_str!("decide/batch.lua"),
    include_str!("decide/rare.lua"),
    include_str!("decide/accounts.lua"),
    include_str!("decide/items.lua"),
    include_str!("decide/writes.lua"),
);

static SCRIPT: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(SOURCE));

/// The SHA-1 of the text, for EVALSHA.
pub(super) fn sha() -> &'static str {
    SCRIPT.get_hash()
}
