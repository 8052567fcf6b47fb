//! `bulkhead-demo`, which `cargo xtask demo` starts: two tenants behind a real Envoy, and the story of their isolation, step by step.

mod shell;
mod story;

use std::{env, io::IsTerminal as _, process::ExitCode};

use bulkhead_tests::world::{Store, World};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// Plays the isolation story on a real Envoy.
#[derive(Parser)]
struct Cli {
    /// Where the limits are kept
    #[arg(long, value_enum, default_value_t = StoreKind::Valkey)]
    store: StoreKind,
    /// Stay up after the story, even where no terminal is there to press Ctrl-C on
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    Memory,
    Valkey,
}

impl StoreKind {
    fn store(self) -> Store {
        let given = env::var("REDIS_URL").ok().filter(|url| !url.is_empty());
        match (self, given) {
            (Self::Memory, _) => Store::Memory,
            (Self::Valkey, Some(url)) => Store::At(url),
            (Self::Valkey, None) => Store::Valkey,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut interrupted = signal(SignalKind::interrupt()).expect("a signal handler");
    let mut terminated = signal(SignalKind::terminate()).expect("a signal handler");
    // The terminal was closed. Envoy ignores this signal, so it would stay behind us.
    let mut hung_up = signal(SignalKind::hangup()).expect("a signal handler");
    // Whatever ends first: what was started is stopped by being dropped.
    tokio::select! {
        done = play(&cli) => done,
        _ = interrupted.recv() => ExitCode::from(130),
        _ = terminated.recv() => ExitCode::from(143),
        _ = hung_up.recv() => ExitCode::from(129),
    }
}

async fn play(cli: &Cli) -> ExitCode {
    let world = World::builder()
        .as_shipped()
        .punctual()
        .store(cli.store.store())
        .progress(|part| eprintln!("    starting {part} ..."))
        .start()
        .await;
    let different = story::play(&world).await;
    if different == 0 {
        println!("\nEvery step went as expected.");
    } else {
        println!("\n{different} of the steps went DIFFERENTLY.");
    }
    if cli.keep || std::io::stdin().is_terminal() {
        println!("Everything stays up; the lines above can be pasted (after the first one, in the same shell). Ctrl-C ends it.");
        std::future::pending::<()>().await;
    }
    if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
