//! The flags that both services share, and what is the same about every flag: a variable with the service's prefix stands in for it, and
//! `serve` is the command when none is named.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{ArgAction, CommandFactory, FromArgMatches, builder::BoolishValueParser};

use crate::{address::Address, logs::LogArgs, tls::TlsArgs, traces::TraceArgs};

/// What tells one service from the other.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The binary's name: `bulkhead-ext-authz`.
    pub name: &'static str,
    /// The prefix of its variables: `BULKHEAD_AUTHZ`.
    pub variables: &'static str,
    /// The gRPC services that health answers for, beside `""`: `envoy.service.auth.v3.Authorization`.
    pub grpc_services: &'static [&'static str],
    /// Default of `--grpc`.
    pub grpc: &'static str,
    /// Default of `--health`.
    pub health: &'static str,
    /// Default of `--admin`.
    pub admin: &'static str,
}

/// `--config`, of every command that reads the configuration folder.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// The configuration folder
    #[arg(long, value_name = "DIR")]
    pub config: PathBuf,
}

/// The three doors, and how they are closed.
#[derive(Debug, Clone, clap::Args)]
pub struct DoorArgs {
    /// Where Envoy calls: loopback or a unix socket; any other address needs the --grpc-tls flags or --allow-plaintext
    #[arg(long, value_name = "ADDR|unix:PATH")]
    pub grpc: Address,
    /// Where /healthz, /readyz and /metrics are served
    #[arg(long, value_name = "ADDR")]
    pub health: Address,
    /// Where the operator looks in: loopback or a unix socket, as with --grpc
    #[arg(long, value_name = "ADDR|unix:PATH")]
    pub admin: Address,
    /// A file with the bearer token of the admin port; without it the admin port answers 401 to everything
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// A file with the hashes of tenants' own tokens for the admin port, lines of `TENANT[@UID]: sha256:HEX`: each sees its own tenant, and
    /// changes nothing
    #[arg(long, value_name = "FILE")]
    pub admin_tenant_tokens: Option<PathBuf>,
    /// Lets --grpc and --admin listen in plaintext where others reach them: whoever can connect can then speak for Envoy
    #[arg(long)]
    pub allow_plaintext: bool,
    /// TLS of --grpc, and of --admin where it is not on loopback
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How long to stay open, not ready, after SIGTERM, so that load balancers look elsewhere first: longer than their health checks take to fail
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3s")]
    pub drain_delay: Duration,
    /// How long calls in progress may take to end after that
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub drain: Duration,
    /// Logging
    #[command(flatten)]
    pub logs: LogArgs,
    /// Spans
    #[command(flatten)]
    pub traces: TraceArgs,
    /// What a service may set of its own about --grpc; no flag
    #[arg(skip)]
    pub grpc_door: GrpcDoor,
}

/// What only a service that stands in for another one asks of its gRPC door. The default is what S2 asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcDoor {
    /// The door may listen where others reach it, in plaintext or without asking for a client certificate: nothing of a tenant is served there.
    pub open: bool,
    /// After how long a connection is told to go away; its calls in progress are finished.
    pub connection_age: Option<Duration>,
}

/// Reads a duration: `20ms`, `10s`, `5m`.
///
/// # Errors
/// What is wrong with the text, for clap.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || "must be a whole number and a unit: 20ms, 10s or 5m".to_owned();
    let number: u32 = number.parse().map_err(|_| wrong())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(60 * u64::from(number))),
        _ => Err(wrong()),
    }
}

/// The command line of the process. Ends it with status 2 where the flags are wrong, and 0 after `--help` and `--version`.
#[must_use]
pub fn parse<C: CommandFactory + FromArgMatches>(service: &Service) -> C {
    parse_from(service, std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// As [`parse`], of given arguments (the first one is the binary's name).
///
/// # Errors
/// What clap says; its `exit_code` is 2 for wrong flags.
pub fn parse_from<C: CommandFactory + FromArgMatches>(
    service: &Service,
    args: impl IntoIterator<Item = OsString>,
) -> Result<C, clap::Error> {
    parse_with_defaults(service, &[], args)
}

/// As [`parse_from`], with other defaults for some flags, by their long names: below a flag, and below its variable.
///
/// # Errors
/// What clap says; its `exit_code` is 2 for wrong flags.
pub fn parse_with_defaults<C: CommandFactory + FromArgMatches>(
    service: &Service,
    defaults: &[(&'static str, String)],
    args: impl IntoIterator<Item = OsString>,
) -> Result<C, clap::Error> {
    let mut command = command::<C>(service, defaults);
    let matches = command.try_get_matches_from_mut(with_default_command(&command, args))?;
    C::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The command with the service's defaults, and a variable for every long flag of every subcommand: none can be forgotten.
fn command<C: CommandFactory>(service: &Service, defaults: &[(&'static str, String)]) -> clap::Command {
    C::command()
        .name(service.name)
        .subcommand_required(true)
        .after_help("Without a command: serve.")
        .mut_args(|arg| with_variable(service, defaults, arg))
        .mut_subcommands(|command| command.mut_args(|arg| with_variable(service, defaults, arg)))
}

fn with_variable(service: &Service, defaults: &[(&'static str, String)], arg: clap::Arg) -> clap::Arg {
    let Some(long) = arg.get_long().map(str::to_owned) else { return arg };
    let default = match long.as_str() {
        "grpc" => Some(service.grpc.to_owned()),
        "health" => Some(service.health.to_owned()),
        "admin" => Some(service.admin.to_owned()),
        "help" | "version" => return arg,
        _ => None,
    };
    let default = defaults.iter().find(|(name, _)| *name == long).map(|(_, default)| default.clone()).or(default);
    let variable = format!("{}_{}", service.variables, long.replace('-', "_").to_ascii_uppercase());
    // Values of variables stay out of --help: a store's URL may hold a password.
    let mut arg = arg.env(variable).hide_env_values(true);
    if let Some(default) = default {
        arg = arg.required(false).default_value(default);
    }
    match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
        ArgAction::Append => arg.value_delimiter(','),
        _ => arg,
    }
}

/// Puts `serve` in front of flags that stand straight after the binary's name.
fn with_default_command(command: &clap::Command, args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let about_itself = ["-h", "--help", "-V", "--version"];
    let first = args.get(1).and_then(|arg| arg.to_str());
    let named = first.is_some_and(|arg| !arg.starts_with('-') || about_itself.contains(&arg));
    if !named && command.find_subcommand("serve").is_some() {
        args.insert(args.len().min(1), OsString::from("serve"));
    }
    args
}

#[cfg(test)]
mod tests;
