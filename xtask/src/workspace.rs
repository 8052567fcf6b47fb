//! Where things are: the workspace, its target directory, and the cargo that runs us.

use std::{
    env,
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

/// The same cargo as runs us, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}
