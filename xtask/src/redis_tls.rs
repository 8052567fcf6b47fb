//! A Redis that speaks TLS, which the Valkey of the wheel does not: one that is installed, else Debian's package, unpacked without root into
//! `target/parts`. apt verifies what it downloads against the distribution's signed lists.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use crate::workspace;

/// The variable that names a binary to use instead, and that tells the tests where the found one is.
pub(crate) const VARIABLE: &str = "REDIS_TLS_SERVER_BIN";

/// The server, and the libraries that it needs beside those of any Debian.
const PACKAGES: [&str; 5] = ["redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1"];

/// What the tests start: it finds the unpacked libraries wherever the directory is moved.
const STARTER: &str = r#"#!/bin/sh
home=$(dirname "$0")
LD_LIBRARY_PATH=$(echo "$home"/usr/lib/*-linux-gnu*)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec "$home/usr/bin/redis-server" "$@"
"#;

/// The server's binary: the one the variable names, else an unpacked one, else an installed one, else it is fetched.
pub(crate) fn get() -> Result<PathBuf, String> {
    if let Some(given) = workspace::given(VARIABLE) {
        return if speaks_tls(&given) { Ok(given) } else { Err(format!("{VARIABLE}: {} does not speak TLS", given.display())) };
    }
    let cache = workspace::target()?.join("parts");
    let home = cache.join("redis-tls");
    let binary = home.join("redis-server-tls");
    if binary.is_file() {
        return Ok(binary);
    }
    let installed = PathBuf::from("redis-server");
    if speaks_tls(&installed) {
        return Ok(installed);
    }
    fetch(&cache, &home).map_err(|why| {
        format!("no Redis that speaks TLS: install redis-server (apt-get install redis-server), or set {VARIABLE} to one ({why})")
    })?;
    if speaks_tls(&binary) { Ok(binary) } else { Err(format!("{} does not start, or does not speak TLS", binary.display())) }
}

/// Whether it starts and was built with TLS: it is asked for TLS without a certificate, which only such a one complains about.
fn speaks_tls(binary: &Path) -> bool {
    let output = Command::new(binary).args(["--port", "0", "--tls-port", "1", "--save", ""]).current_dir(std::env::temp_dir()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("Failed to configure TLS"))
}

/// Downloads and unpacks into a directory of our own, then renames: of two runs side by side one wins, and neither sees half of it.
fn fetch(cache: &Path, home: &Path) -> Result<(), String> {
    let start = Instant::now();
    eprintln!("    fetching redis-server ...");
    let mine = cache.join(format!(".redis-tls-{}", process::id()));
    let done = unpack(&mine).and_then(|unpacked| {
        let renamed = fs::rename(unpacked, home);
        if home.is_dir() { Ok(()) } else { renamed.map_err(|error| error.to_string()) }
    });
    // Whatever came of it, the download itself is not needed again; failing to remove it harms nothing.
    drop(fs::remove_dir_all(&mine));
    done?;
    eprintln!("    fetched  redis-server in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn unpack(mine: &Path) -> Result<PathBuf, String> {
    let unpacked = mine.join("unpacked");
    fs::create_dir_all(&unpacked).map_err(|error| format!("{}: {error}", unpacked.display()))?;
    said(Command::new("apt-get").args(["download", "-qq"]).args(PACKAGES).current_dir(mine))?;
    for entry in fs::read_dir(mine).map_err(|error| error.to_string())?.filter_map(Result::ok) {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            said(Command::new("dpkg").arg("-x").arg(entry.path()).arg(&unpacked))?;
        }
    }
    let starter = unpacked.join("redis-server-tls");
    fs::write(&starter, STARTER).map_err(|error| format!("{}: {error}", starter.display()))?;
    said(Command::new("chmod").arg("755").arg(&starter))?;
    Ok(unpacked)
}

/// Runs a command quietly; the error is the last thing that it said.
fn said(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed and said nothing").to_owned())
}
