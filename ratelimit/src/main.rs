//! `bulkhead-ratelimit`: flags, configuration, store, doors; then the library serves.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use bulkhead_doors::{
    admin::AdminRoutes,
    args::{self, ConfigArgs, DoorArgs, Service},
    audit::{self, AuditArgs, VerifyArgs},
    configuration,
    fatal::{Fatal, exit},
    grpc::Unary,
    probe::{ProbeArgs, probe},
    run::{Doors, Rooms, block_on},
    shutdown::Shutdown,
    telemetry::Telemetry,
};
use bulkhead_proto::contract::method;
use bulkhead_ratelimit::{
    args::LimitArgs,
    dropin::{
        domains::{self, Domains, Own},
        follow::follow,
        health::Health,
        serve::Ports,
        settings::Settings,
        start,
    },
    limits::Limits,
    rls::{MAX_REQUEST_BYTES, Rls},
};
use bulkhead_tenancy::{clock::SystemClock, loader::Loader};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// A decision allocates and frees some hundred small things, most of them tonic's: it is a fifth of its cost with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the end waits for audit records that are not written yet: a disk may hang.
const LAST_RECORDS: Duration = Duration::from_secs(1);

static SERVICE: Service = Service {
    name: "bulkhead-ratelimit",
    variables: "BULKHEAD_RATELIMIT",
    // `ratelimit` is the name that envoyproxy/ratelimit's users ask health for.
    grpc_services: &["envoy.service.ratelimit.v3.RateLimitService", "ratelimit"],
    grpc: "127.0.0.1:8081",
    health: "0.0.0.0:9082",
    admin: "127.0.0.1:9083",
};

/// The limiter of Bulkhead: how much of the shared capacity a request may use.
#[derive(clap::Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serve Envoy's rate limit service
    Serve(Box<Serve>),
    /// Check the configuration folder: one line an error, exit status 2 if there is one
    Validate(ConfigArgs),
    /// Say what in audit streams is not as it was written: exit status 2 if anything is
    Verify(VerifyArgs),
    /// Exit 0 if the service that runs here is ready: a container's health check
    Probe(ProbeArgs),
}

#[derive(clap::Args)]
struct Serve {
    /// The configuration folder. Without it, or with RUNTIME_ROOT or CONFIG_TYPE=GRPC_XDS_SOTW, the service stands in for envoyproxy/ratelimit
    /// and takes its environment variables
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    doors: DoorArgs,
    #[command(flatten)]
    audit: AuditArgs,
}

/// `--store` where nothing names one.
const STORE: &str = "redis://127.0.0.1:6379";

/// How long the drop-in's own ports have for requests in progress once the doors are closed.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match parse(vec![]).command {
        Command::Serve(serve) => match start::settings(serve.config.is_some()) {
            Ok(None) => block_on(run(*serve)),
            Ok(Some(settings)) => stand_in(&settings),
            Err(why) => exit(Err(why)),
        },
        Command::Validate(validate) => configuration::validate(&validate.config),
        Command::Verify(args) => audit::verify(&args),
        Command::Probe(args) => exit(probe(&args)),
    }
}

/// The command line. envoyproxy/ratelimit's image has no entry point, so its users name the program first: here that names nothing.
fn parse(mut defaults: Vec<(&'static str, String)>) -> Cli {
    // The first of a name counts.
    defaults.push(("store", STORE.to_owned()));
    let mut given: Vec<OsString> = std::env::args_os().collect();
    if given.get(1).is_some_and(|first| first == "/bin/ratelimit") {
        given.remove(1);
    }
    args::parse_with_defaults(&SERVICE, &defaults, given).unwrap_or_else(|error| error.exit())
}

/// Serves the tenants of the configuration folder.
async fn run(serve: Serve) -> Result<(), Fatal> {
    let telemetry = Telemetry::start(&SERVICE, &serve.doors)?;
    let metrics = telemetry.metrics.clone();
    let shutdown = Shutdown::on_signals()?;
    let streams = audit::open(&serve.audit, "ratelimit", Arc::new(SystemClock), &metrics)?;
    let Some(config) = &serve.config else { return Err(Fatal::usage("--config: the configuration folder is missing")) };
    let loader = Arc::new(configuration::follow(config)?);
    let doors = Doors::bind(&SERVICE, &serve.doors).await?;
    let limits = Limits::open(&serve.limits, loader.live()).await?;
    let admin = limits.admin(loader.live(), None, Arc::clone(&streams));
    let rls = Rls::new(loader.live(), limits.levels().clone(), Arc::clone(limits.limiter()), &metrics)
        .recording(Arc::clone(&streams))
        .tracing(telemetry.traces.clone());
    let serving = doors.run(rooms(tenants_alone(rls), admin, Some(loader), || None), metrics, shutdown);
    let ended = limits.billing(audit::sweeping(&streams, serving)).await;
    streams.close(LAST_RECORDS);
    limits.drain().await;
    ended
}

/// Reads the flags again, with what envoyproxy/ratelimit's variables say below them, and serves.
fn stand_in(settings: &Settings) -> ExitCode {
    let defaults = match start::defaults(settings) {
        Ok(defaults) => defaults,
        Err(why) => return exit(Err(why)),
    };
    let Command::Serve(serve) = parse(defaults).command else { return ExitCode::FAILURE };
    block_on(run_dropin(*serve, settings))
}

/// Serves as envoyproxy/ratelimit does, and beside it the tenants of the configuration folder, if there is one.
async fn run_dropin(mut serve: Serve, settings: &Settings) -> Result<(), Fatal> {
    let telemetry = Telemetry::start(&SERVICE, &serve.doors)?;
    let metrics = telemetry.metrics.clone();
    start::tell(settings);
    let shutdown = Shutdown::on_signals()?;
    // As the original takes it.
    shutdown.on_hangup()?;
    let loader = serve.config.as_deref().map(configuration::follow).transpose()?.map(Arc::new);
    let streams = audit::open(&serve.audit, "ratelimit", Arc::new(SystemClock), &metrics)?;
    let protected = start::open_door(&mut serve.doors, settings);
    let clock = Arc::new(SystemClock);
    let stores = start::stores(&serve.limits.store, settings, clock.clone()).await?;
    let store = match &loader {
        Some(loader) => serve.limits.store.with_silos(Arc::clone(&stores.main), loader.live())?,
        None => Arc::clone(&stores.main),
    };
    let looked_at = stores.all();
    let (dropin, live) = start::dropin(settings, stores, clock);
    let _following = follow(settings, &live).map_err(|why| Fatal::usage(why.to_string()))?;
    if !settings.force_start {
        tokio::select! {
            () = live.first() => {}
            () = shutdown.draining() => return Ok(()),
        }
    }
    let doors = Doors::bind(&SERVICE, &serve.doors).await?;
    let statsd = start::statsd(settings, std::env::var("STATSD_PROTOCOL").ok().as_deref());
    let ports = Ports::bind(settings, statsd).await?;
    let health = Health::new(live, settings, looked_at, shutdown.clone()).await;
    let limits = Limits::over(store, &serve.limits);
    // Without a configuration folder there are no tenants to tell of.
    let tenants = loader.as_deref().map(Loader::live).unwrap_or_default();
    let admin = limits.admin(tenants.clone(), Some(Arc::clone(&dropin)), Arc::clone(&streams));
    let own = match &loader {
        None => Own::NotConfigured,
        Some(_) if !protected => Own::Unprotected,
        Some(_) => {
            let rls = Rls::new(tenants, limits.levels().clone(), Arc::clone(limits.limiter()), &metrics);
            Own::Served(Box::new(rls.recording(Arc::clone(&streams)).tracing(telemetry.traces.clone())))
        }
    };
    let end = CancellationToken::new();
    let ports = tokio::spawn(ports.serve(&dropin, health.clone(), &end)?);
    let service = every_domain(Domains::new(dropin, own).tracing(telemetry.traces.clone()));
    let rooms = rooms(service, admin, loader, move || health.waits_for());
    let ended = limits.billing(audit::sweeping(&streams, doors.run(rooms, metrics, shutdown))).await;
    streams.close(LAST_RECORDS);
    end.cancel();
    let _ = tokio::time::timeout(LAST_REQUESTS, ports).await;
    limits.drain().await;
    ended
}

/// The one method of Envoy's rate limit service, where the domain `bulkhead` is all that is served.
fn tenants_alone(rls: Rls) -> Unary {
    let rls = Arc::new(rls);
    Unary::new(method::SHOULD_RATE_LIMIT, MAX_REQUEST_BYTES, move |request| {
        let rls = Arc::clone(&rls);
        async move { rls.answer(request).await }
    })
}

/// The same where the domains of envoyproxy/ratelimit are, too.
fn every_domain(domains: Domains) -> Unary {
    let domains = Arc::new(domains);
    Unary::new(method::SHOULD_RATE_LIMIT, domains::MAX_REQUEST_BYTES, move |request| {
        let domains = Arc::clone(&domains);
        async move { domains.answer(request).await }
    })
}

fn rooms(
    rls: Unary,
    admin: AdminRoutes,
    loader: Option<Arc<Loader>>,
    waits_for: impl Fn() -> Option<&'static str> + Send + Sync + 'static,
) -> Rooms {
    let report = loader.clone();
    Rooms {
        methods: vec![rls],
        grpc: Routes::default(),
        health: axum::Router::new(),
        admin,
        // A store that is away does not make us unready: failure modes answer, and another replica has no better store.
        waits_for: Arc::new(move || loader.as_ref().and_then(|loader| loader.waits_for()).or_else(&waits_for)),
        report: Arc::new(move || report.as_ref().map(|loader| loader.report().into()).unwrap_or_default()),
    }
}
