//! The command line.

use std::{path::PathBuf, time::Duration};

use bulkhead_doors::{
    args::{ConfigArgs, DoorArgs, Service, duration},
    audit::{AuditArgs, VerifyArgs},
    probe::ProbeArgs,
};
use bulkhead_ratelimit::args::LimitArgs;
use clap::{ArgAction, builder::BoolishValueParser};

use crate::decide::Declared;

/// The service, as its flags, variables and health name it.
pub static SERVICE: Service = Service {
    name: "bulkhead-ext-authz",
    variables: "BULKHEAD_AUTHZ",
    grpc_services: &["envoy.service.auth.v3.Authorization", "envoy.service.ext_proc.v3.ExternalProcessor"],
    grpc: "127.0.0.1:9191",
    health: "0.0.0.0:9192",
    admin: "127.0.0.1:9193",
};

/// Decides for Envoy whom a request belongs to and what it may reach.
#[derive(Debug, clap::Parser)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Serve Check and Process beside Envoy (the default)
    Serve(Box<ServeArgs>),
    /// Say what is wrong with a configuration folder, one line an error
    Validate(ConfigArgs),
    /// Say how one request would be decided, step by step, without serving
    Explain(ExplainArgs),
    /// Say what in audit streams is not as it was written: exit status 2 if anything is
    Verify(VerifyArgs),
    /// Say what in Envoy's own configuration breaks the rules that keep tenants apart, one line each: exit 0 if nothing does, else 2
    CheckEnvoy(CheckEnvoyArgs),
    /// Exit 0 if the service that runs here is ready: a container's health check
    Probe(ProbeArgs),
}

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The doors.
    #[command(flatten)]
    pub doors: DoorArgs,
    /// Where audit streams go.
    #[command(flatten)]
    pub audit: AuditArgs,
    /// What Envoy is declared to do.
    #[command(flatten)]
    pub declared: DeclaredArgs,
    /// How long reading one body may take in ext_proc; keep it below the message_timeout of Envoy's filter, so that a late answer is a denial of ours
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "800ms")]
    pub process_deadline: Duration,
    /// The keys that sign context tokens (Platform contextToken), as PEM: all are published, the first signs, a new one after an hour. Replicas share one file.
    /// Without it each replica makes keys of its own
    #[arg(long, value_name = "FILE")]
    pub context_token_keys: Option<PathBuf>,
    /// Whether issuers' keys are fetched before anybody asks for them, and refreshed every five minutes though nobody does
    #[arg(long, value_name = "on|off", action = ArgAction::Set, value_parser = BoolishValueParser::new(), default_value = "on")]
    pub keys_ahead: bool,
    /// Where limits are charged, if they are charged here.
    #[command(flatten, next_help_heading = "Limits, as the last step of Check (without --store, bulkhead-ratelimit charges them)")]
    pub limits: LimitArgs,
}

/// What the operator declares of the Envoy in front of us (S14).
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct DeclaredArgs {
    /// Whether Envoy buffers bodies for Check on every route (else a route's context says it: bulkhead.body: on)
    #[arg(long, value_name = "on|off", action = ArgAction::Set, value_parser = BoolishValueParser::new(), default_value = "off")]
    pub body: bool,
    /// Whether ext_proc stands in every chain (else a route's context says it: bulkhead.process: on)
    #[arg(long, value_name = "on|off", action = ArgAction::Set, value_parser = BoolishValueParser::new(), default_value = "off")]
    pub process: bool,
}

impl From<DeclaredArgs> for Declared {
    fn from(DeclaredArgs { body, process }: DeclaredArgs) -> Self {
        Self { body, process, limits: false }
    }
}

/// Flags of `check-envoy`.
#[derive(Debug, clap::Args)]
pub struct CheckEnvoyArgs {
    /// Envoy's configuration, YAML or JSON: a bootstrap, a listener, or a connection manager
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What Envoy is declared to do.
    #[command(flatten)]
    pub declared: DeclaredArgs,
    /// A CheckRequest as proto-JSON, as Envoy would send it; without it, or with `-`, standard input
    #[arg(value_name = "FILE")]
    pub request: Option<PathBuf>,
}
