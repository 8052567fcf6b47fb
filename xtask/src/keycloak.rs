//! Keycloak, from Maven Central: verified, built once, and cached in `target/parts`. It needs Java 17 and Maven.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use crate::{parts, workspace};

/// The version that docker-compose.yml has as well.
const VERSION: &str = "26.7.3";
/// Of the `.tar.gz`.
const SHA256: &str = "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47";
/// The plugin that fetches, pinned too.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
/// What is built in. docker-compose.yml's `start` says the same: where it differed, Keycloak would build anew at each start.
const BUILT_IN: [&str; 4] = ["build", "--db=dev-file", "--health-enabled=true", "--features-disabled=workflows"];
/// The variable that names an unpacked Keycloak to use instead, and that tells the tests where the fetched one is.
pub(crate) const VARIABLE: &str = "KEYCLOAK_HOME";

/// Keycloak's directory: the one the variable names, else the cached one, else a fetched one.
pub(crate) fn get() -> Result<PathBuf, String> {
    if let Some(given) = workspace::given(VARIABLE) {
        return if is_home(&given) { Ok(given) } else { Err(format!("{VARIABLE}: {} is no Keycloak", given.display())) };
    }
    let cache = workspace::target()?.join("parts");
    let home = cache.join(format!("keycloak-{VERSION}"));
    if !is_home(&home) {
        fetch(&cache, &home).map_err(|message| {
            format!("Keycloak {VERSION} could not be fetched: {message}\n       (offline? set {VARIABLE} to one that is here)")
        })?;
    }
    Ok(home)
}

fn is_home(directory: &Path) -> bool {
    directory.join("lib/quarkus-run.jar").is_file()
}

/// Downloads, unpacks and builds in a directory of our own, then renames: of two runs side by side one wins, and neither sees half of it.
fn fetch(cache: &Path, home: &Path) -> Result<(), String> {
    said(Command::new("java").arg("-version")).map_err(|why| format!("Java 17 or later is needed ({why})"))?;
    said(Command::new("mvn").arg("--version")).map_err(|why| format!("Maven is needed ({why})"))?;
    let start = Instant::now();
    eprintln!("    fetching and building Keycloak {VERSION} ...");
    let mine = cache.join(format!(".keycloak-{VERSION}-{}", process::id()));
    let done = unpack(&mine).and_then(|()| {
        let renamed = fs::rename(mine.join(format!("keycloak-{VERSION}")), home);
        if is_home(home) { Ok(()) } else { renamed.map_err(|error| error.to_string()) }
    });
    // Whatever came of it, the download itself is not needed again; failing to remove it harms nothing.
    drop(fs::remove_dir_all(&mine));
    done?;
    eprintln!("    fetched  Keycloak {VERSION} in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn unpack(mine: &Path) -> Result<(), String> {
    fs::create_dir_all(mine).map_err(|error| format!("{}: {error}", mine.display()))?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", PLUGIN]).arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"));
    said(maven.arg(format!("-DoutputDirectory={}", mine.display())).current_dir(mine))?;
    let archive = mine.join(format!("keycloak-quarkus-dist-{VERSION}.tar.gz"));
    let found = parts::sha256(&archive)?;
    if found != SHA256 {
        return Err(format!("its SHA-256 is {found}, not the pinned {SHA256}"));
    }
    said(Command::new("tar").arg("-xzf").arg(&archive).current_dir(mine))?;
    said(Command::new(mine.join(format!("keycloak-{VERSION}/bin/kc.sh"))).args(BUILT_IN))
}

/// Runs a command quietly; the error is the last thing that it said.
fn said(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(lines[lines.len().saturating_sub(5)..].join("; "))
}
