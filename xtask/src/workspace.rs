//! Where things are: the workspace, its target directory, and the cargo that runs us.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), Path::to_path_buf)
}

/// The directory that cargo built this program into, wherever it was told to build: `target/debug`.
pub(crate) fn binaries() -> Result<PathBuf, String> {
    let me = env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    me.parent().map(Path::to_path_buf).ok_or_else(|| "this program has no directory".to_owned())
}

/// The target directory above it.
pub(crate) fn target() -> Result<PathBuf, String> {
    binaries()?.parent().map(Path::to_path_buf).ok_or_else(|| "the build directory has no parent".to_owned())
}

/// A path that a variable names, made absolute here and now: what is started runs in other directories.
pub(crate) fn given(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).and_then(absolute)
}

fn absolute(path: OsString) -> Option<PathBuf> {
    // Fails for an empty path, which is none.
    std::path::absolute(path).ok()
}

/// The same cargo as runs us, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_path_means_the_same_from_every_directory() {
        assert_eq!(absolute("bin/envoy".into()), Some(env::current_dir().unwrap().join("bin/envoy")));
        assert_eq!(absolute("/bin/envoy".into()), Some("/bin/envoy".into()));
        assert_eq!(absolute("".into()), None);
    }
}
