//! `cargo xtask demo`: builds the services, fetches the parts meanwhile, and hands over to `bulkhead-demo`, which plays the story.

use std::{os::unix::process::CommandExt as _, process::Command, thread};

use clap::{Args, ValueEnum};

use crate::{
    parts::{self, Part},
    stage::Stages,
    workspace::{binaries, cargo, root},
};

/// How to play it.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the limits are kept
    #[arg(long, value_enum, default_value_t = Store::Valkey)]
    store: Store,
    /// Stay up after the story, even where no terminal is there to press Ctrl-C on
    #[arg(long)]
    keep: bool,
}

/// Where the limits are kept.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// In the limiter's own memory
    Memory,
    /// In Valkey: a fetched one, `REDIS_SERVER_BIN`, or the server at `REDIS_URL`
    Valkey,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut stages = Stages::default();
    let fetch_store = options.store == Store::Valkey && !parts::store_is_given();
    let fetching = thread::spawn(move || (Part::Envoy.get(), fetch_store.then(|| Part::Valkey.get())));
    stages.command("building the services (Envoy and Valkey are fetched meanwhile)", cargo().args(["build", "--workspace", "--bins"]))?;
    let mut found = None;
    stages.run("parts", || {
        let (envoy, valkey) = fetching.join().map_err(|_| "the fetching thread died".to_owned())?;
        found = Some((envoy?, valkey.transpose()?));
        Ok(())
    })?;
    let Some((envoy, valkey)) = found else { return Err("no parts".to_owned()) };

    let binaries = binaries()?;
    let mut demo = Command::new(binaries.join("bulkhead-demo"));
    demo.current_dir(root()).env(Part::Envoy.variable(), envoy).env("BULKHEAD_BIN_DIR", &binaries);
    if let Some(valkey) = valkey {
        demo.env(Part::Valkey.variable(), valkey);
    }
    demo.arg("--store").arg(match options.store {
        Store::Memory => "memory",
        Store::Valkey => "valkey",
    });
    if options.keep {
        demo.arg("--keep");
    }
    // We become the demo: Ctrl-C then reaches one process, which stops what it started before the prompt is back.
    Err(format!("bulkhead-demo: {}", demo.exec()))
}
