//! Puts the service together: configuration, identity, judge, ledger, doors.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bulkhead_doors::{
    audit, configuration,
    fatal::Fatal,
    grpc::Unary,
    run::{Doors, Rooms},
    shutdown::Shutdown,
    telemetry::Telemetry,
};
use bulkhead_proto::{contract::method, pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessorServer};
use bulkhead_ratelimit::limits::Limits;
use bulkhead_tenancy::clock::{Clock, SystemClock};
use tonic::service::Routes;

use crate::{
    args::{SERVICE, ServeArgs},
    context_token::{self, ContextTokens, KeySource, Keys, KeysError},
    decide::{Declared, Judge},
    explain::{self, routes::Inside},
    limits::Charging,
    process::service::ProcessService,
    record::{Ledger, Record, log::DenialLog},
    service::{CheckService, MAX_MESSAGE_BYTES},
    tenant::{Ahead, HttpBounds, HttpKeys, Identity, Settings},
};

/// How often merged denials are looked after.
const SWEEP: Duration = Duration::from_secs(5);
/// How often the keys of context tokens are looked after.
const TURN: Duration = Duration::from_secs(60);

/// How long the end waits for records that are not written yet: a disk may hang.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// Serves until it is asked to end.
///
/// # Errors
/// The flags, the Platform or the doors do not do; nothing was bound then but by the last.
pub async fn serve(args: ServeArgs) -> Result<(), Fatal> {
    let telemetry = Telemetry::start(&SERVICE, &args.doors)?;
    let metrics = telemetry.metrics.clone();
    let shutdown = Shutdown::on_signals()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let streams = audit::open(&args.audit, "ext-authz", Arc::clone(&clock), &metrics)?;
    let identity = identity(&clock)?;
    let context_tokens = Arc::new(context_tokens(args.context_token_keys, &clock)?);
    let loader = Arc::new(configuration::follow(&args.config.config)?);
    let doors = Doors::bind(&SERVICE, &args.doors).await?;
    let limits = Limits::open_if_named(&args.limits, loader.live()).await?;
    let declared = Declared { limits: limits.is_some(), ..args.declared.into() };

    let ledger = Arc::new(Ledger::new(&metrics, DenialLog::new(Arc::clone(&clock)), Arc::clone(&streams)));
    let sweeping = tokio::spawn(sweep(Arc::clone(&ledger)));
    let turning = tokio::spawn(turn(Arc::clone(&context_tokens)));
    let tried = Judge::new(self::identity(&clock)?, Arc::clone(&clock), declared);
    let ahead = args.keys_ahead.then(|| tokio::spawn(identity.keep_ahead(Ahead::default(), loader.live())));
    let keys = identity.keys_in_force();
    let judge = Judge::new(identity, Arc::clone(&clock), declared);
    let records: Arc<dyn Record> = Arc::<Ledger>::clone(&ledger);
    let offload = Arc::clone(judge.guardrails().offload());
    let process = ProcessService::new(loader.live(), clock, offload, args.process_deadline, Arc::clone(&records))
        .looking_after(keys)
        .tracing(telemetry.traces.clone());
    // What is read can be as large as what Check sees, and is sent back.
    let process =
        ExternalProcessorServer::new(process).max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES);
    let charging = limits.as_ref().map(|limits| Charging::by(limits, &metrics));
    let check = CheckService::new(loader.live(), judge, records).signing(Arc::clone(&context_tokens)).charging(charging);
    let check = Arc::new(check.tracing(telemetry.traces.clone()));
    let check = Unary::new(method::CHECK, MAX_MESSAGE_BYTES, move |request| {
        let check = Arc::clone(&check);
        async move { check.check(request).await.map(tonic::Response::new) }
    });
    let explained = explain::routes::routes(Inside {
        recent: Arc::clone(ledger.recent()),
        live: loader.live(),
        judge: tried,
        limits: limits.as_ref().map(|limits| Charging::by(limits, &metrics)),
    });
    let admin = limits.as_ref().map(|limits| limits.admin(loader.live(), None, streams)).unwrap_or_default().and(explained);
    let (following, reporting) = (Arc::clone(&loader), loader);
    let rooms = Rooms {
        methods: vec![check],
        grpc: Routes::default().add_service(process),
        health: context_token::router(context_tokens),
        admin,
        waits_for: Arc::new(move || following.waits_for()),
        report: Arc::new(move || reporting.report().into()),
    };
    let serving = doors.run(rooms, metrics, shutdown);
    let ended = match &limits {
        Some(limits) => limits.billing(serving).await,
        None => serving.await,
    };
    sweeping.abort();
    turning.abort();
    if let Some(ahead) = ahead {
        ahead.abort();
    }
    ledger.flush(LAST_RECORDS);
    if let Some(limits) = &limits {
        limits.drain().await;
    }
    ended
}

/// The identity step as it is in production: keys over HTTP, within its bounds.
pub(crate) fn identity(clock: &Arc<dyn Clock>) -> Result<Identity, Fatal> {
    let keys = HttpKeys::new(HttpBounds::default()).map_err(|error| Fatal::failed(format!("cannot fetch keys: {error}")))?;
    Ok(Identity::new(Settings::default(), Arc::clone(clock), Arc::new(keys)))
}

/// Context tokens, by the keys of a file or by keys of our own.
fn context_tokens(keys: Option<PathBuf>, clock: &Arc<dyn Clock>) -> Result<ContextTokens, Fatal> {
    let source = keys.map_or(KeySource::Own, KeySource::File);
    let keys = Keys::new(source, clock.now_s()).map_err(|error| match error {
        KeysError::File { .. } => Fatal::usage(format!("--context-token-keys: {error}")),
        KeysError::Randomness => Fatal::failed(error.to_string()),
    })?;
    Ok(ContextTokens::new(keys, Arc::clone(clock)))
}

async fn turn(context_tokens: Arc<ContextTokens>) {
    let mut tick = tokio::time::interval(TURN);
    loop {
        tick.tick().await;
        let context_tokens = Arc::clone(&context_tokens);
        // A file is read, perhaps.
        let _ = tokio::task::spawn_blocking(move || context_tokens.turn()).await;
    }
}

async fn sweep(ledger: Arc<Ledger>) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tick.tick().await;
        ledger.sweep();
    }
}
