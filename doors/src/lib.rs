//! The three doors of a service and what belongs to being one: flags, logs, metrics, readiness, an orderly end.
//!
//! | door | where | who |
//! |---|---|---|
//! | `--grpc` | loopback or a unix socket, else mutual TLS with a listed client name (S2) | Envoy |
//! | `--health` | anywhere | probes, Prometheus |
//! | `--admin` | as `--grpc`, and a bearer token | the operator; a tenant of itself |
//!
//! A service is this much:
//!
//! ```no_run
//! use std::{process::ExitCode, sync::Arc};
//! use bulkhead_doors::{args::{self, ConfigArgs, DoorArgs, Service}, admin::{AdminRoutes, SnapshotReport}, configuration, fatal::Fatal,
//!     run::{Doors, Rooms, block_on}, shutdown::Shutdown, telemetry::Telemetry};
//!
//! static SERVICE: Service = Service {
//!     name: "bulkhead-example", variables: "BULKHEAD_EXAMPLE", grpc_services: &["example.v1.Example"],
//!     grpc: "127.0.0.1:9191", health: "0.0.0.0:9192", admin: "127.0.0.1:9193",
//! };
//!
//! #[derive(clap::Parser)]
//! struct Cli { #[command(subcommand)] command: Command }
//! #[derive(clap::Subcommand)]
//! enum Command { Serve(Box<Serve>), Validate(ConfigArgs) }
//! #[derive(clap::Args)]
//! struct Serve { #[command(flatten)] config: ConfigArgs, #[command(flatten)] doors: DoorArgs }
//!
//! fn main() -> ExitCode {
//!     match args::parse::<Cli>(&SERVICE).command {
//!         Command::Serve(serve) => block_on(run(*serve)),
//!         Command::Validate(folder) => configuration::validate(&folder.config),
//!     }
//! }
//!
//! async fn run(serve: Serve) -> Result<(), Fatal> {
//!     let telemetry = Telemetry::start(&SERVICE, &serve.doors)?;
//!     let metrics = telemetry.metrics.clone();
//!     let shutdown = Shutdown::on_signals()?;
//!     let decisions = metrics.tenant_counter("example_decisions_total", "Decisions, by tenant and verdict.", "verdict");
//!     // Read the Platform here: what is wrong with it ends the process before anything is bound.
//!     let doors = Doors::bind(&SERVICE, &serve.doors).await?;
//!     let rooms = Rooms {
//!         methods: Vec::new(), // Unary::new("/example.v1.Example/Decide", MAX_REQUEST_BYTES, ..)
//!         grpc: tonic::service::Routes::default(), // .add_service(ExampleServer::new(..).max_decoding_message_size(..))
//!         health: axum::Router::new(),
//!         admin: AdminRoutes::default(),
//!         waits_for: Arc::new(|| None),
//!         report: Arc::new(SnapshotReport::default),
//!     };
//!     doors.run(rooms, metrics, shutdown).await
//! }
//! ```

pub mod address;
pub mod admin;
pub mod args;
pub mod audit;
pub mod configuration;
pub mod deadline;
pub mod fatal;
pub mod grpc;
mod health;
pub mod http;
pub mod listener;
pub mod logs;
pub mod metrics;
pub mod probe;
pub mod run;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod traces;
