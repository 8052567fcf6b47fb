//! `bulkhead-fuzz`: one target under libFuzzer, named by `BULKHEAD_FUZZ_TARGET`. `cargo xtask fuzz` builds and runs it.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("BULKHEAD_FUZZ_TARGET").unwrap_or_default();
    let target = bulkhead_fuzz::TARGETS.iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("BULKHEAD_FUZZ_TARGET={name}: there is no such target")).run
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
