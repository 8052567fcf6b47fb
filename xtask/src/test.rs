//! `cargo xtask test`: everything that must hold before a change is taken. One build profile and one choice of packages and features
//! throughout (`--workspace`), so that nothing is compiled twice.

use std::thread;

use clap::Args;

use crate::{
    keycloak,
    parts::Part,
    redis_tls,
    stage::Stages,
    workspace::{binaries, cargo},
};

/// What to leave out.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the end-to-end tests, and run few cases of each property: the inner loop
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut stages = Stages::default();
    stages.command("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    // The parts come over the network while the processor compiles.
    let parts = (!options.quick).then(|| thread::spawn(|| (Part::Envoy.get(), Part::Valkey.get(), redis_tls::get(), keycloak::get())));
    stages.command("clippy", cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    stages.command("build", cargo().args(["build", "--workspace", "--all-targets"]))?;

    let mut unit = cargo();
    unit.args(["test", "--workspace", "--lib", "--bins"]);
    if options.quick {
        unit.env("PROPTEST_CASES", "16");
        stages.command("unit tests, few cases of each property", &mut unit)?;
        stages.summary();
        return Ok(());
    }

    let mut fetched = None;
    stages.run("parts", || {
        let (envoy, valkey, redis_tls, keycloak) = match parts.map(thread::JoinHandle::join) {
            Some(Ok(parts)) => parts,
            Some(Err(_)) | None => return Err("the fetching thread died".to_owned()),
        };
        fetched = Some((envoy?, valkey?, redis_tls?, keycloak?));
        Ok(())
    })?;
    let Some((envoy, valkey, redis_tls, keycloak)) = fetched else { return Err("no parts".to_owned()) };
    let binaries = binaries()?;
    let with_parts = |command: &mut std::process::Command| {
        command.env(Part::Envoy.variable(), &envoy).env(Part::Valkey.variable(), &valkey).env("BULKHEAD_BIN_DIR", &binaries);
        command.env(redis_tls::VARIABLE, &redis_tls).env(keycloak::VARIABLE, &keycloak);
    };

    with_parts(&mut unit);
    stages.command("unit and property tests", &mut unit)?;
    stages.command("doc tests", cargo().args(["test", "--workspace", "--doc"]))?;
    let mut end_to_end = cargo();
    end_to_end.args(["test", "--workspace", "--test", "*"]);
    with_parts(&mut end_to_end);
    stages.command("end-to-end tests", &mut end_to_end)?;
    stages.summary();
    eprintln!("\nxtask test: passed");
    Ok(())
}
