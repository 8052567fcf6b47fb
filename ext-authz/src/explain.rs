//! `explain`: how one request would be decided, step by step, by the same code that serves.

use std::{io::Read, io::Write as _, sync::Arc, time::Duration};

use bulkhead_doors::fatal::Fatal;
use bulkhead_proto::{json::check, pb::envoy::service::auth::v3::CheckRequest};
use bulkhead_rules::Prepared;
use bulkhead_tenancy::{
    clock::{Clock, SystemClock},
    loader,
    snapshot::Snapshot,
};
use prost::Message as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    args::ExplainArgs,
    attributes::{Attributes, Headers},
    decide::{Declared, Due, Identify, Judge},
    limits::Charging,
    record::Seen,
    reply::Reply,
    serve,
    verdict::{Decision, Verdict},
};

pub mod recent;
pub mod routes;
#[cfg(test)]
mod tests;
pub mod told;

use self::told::Told;

/// How long it may take to prove who sends the request, if its own bounds are not shorter.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a CheckRequest, decides, prints why. Keys of issuers are fetched as in service.
///
/// # Errors
/// The configuration or the request cannot be read. A denial is no error.
pub async fn explain(args: ExplainArgs) -> Result<(), Fatal> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let snapshot = loader::read(&args.config.config, Arc::clone(&clock)).map_err(|error| Fatal::usage(error.to_string()))?;
    let request = check::read_request(&text(&args)?).map_err(|error| Fatal::usage(format!("the CheckRequest: {error}")))?;
    let judge = Judge::new(serve::identity(&clock)?, clock, Declared { limits: true, ..args.declared.into() });
    let told = tell(&snapshot, &judge, request).await;
    std::io::stdout().write_all(told.as_bytes()).map_err(|error| Fatal::failed(format!("cannot print: {error}")))
}

fn text(args: &ExplainArgs) -> Result<String, Fatal> {
    let read = match &args.request {
        Some(file) if file.as_os_str() != "-" => std::fs::read_to_string(file),
        _ => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
    };
    read.map_err(|error| Fatal::usage(format!("the CheckRequest cannot be read: {error}")))
}

/// What is told of a request: a line for each step, and the response that Envoy would get.
async fn tell<I: Identify>(snapshot: &Arc<Snapshot>, judge: &Judge<I>, request: CheckRequest) -> String {
    let (told, response, rule_input) = decided(snapshot, judge, None, request).await;
    let input: String = rule_input.iter().map(|input| format!("  rules       input = {}\n", input.to_json())).collect();
    format!("{}{input}{response:#}\n", told.explained())
}

/// Decides about a request as it is decided in service, and gives the response that Envoy would get; but its limits are looked at and not charged.
pub(crate) async fn decided<I: Identify>(
    snapshot: &Arc<Snapshot>,
    judge: &Judge<I>,
    limits: Option<&Charging>,
    request: CheckRequest,
) -> (Told, serde_json::Value, Vec<Prepared>) {
    // As Envoy sends it: what is written as a CheckRequest can be read as one.
    let message = request.encode_to_vec().into();
    let (mut verdict, attributes) = match Attributes::asked(&message) {
        Ok(attributes) => (judge.decide(snapshot, &attributes, Due::at(Instant::now() + PATIENCE)).await, Some(attributes)),
        Err(denial) => (Verdict::denied(denial), None),
    };
    if let Some(limits) = limits {
        limits.look(snapshot, &mut verdict).await;
    }
    let rule_input = verdict.rule_input.clone();
    let decision = Decision { id: Uuid::now_v7().to_string(), generation: Some(snapshot.generation()), verdict };
    let nothing = Headers::default();
    let headers = attributes.as_ref().map_or(&nothing, |attributes| &attributes.headers);
    let response = Reply::to(&decision, headers).read().map(|response| check::write_response(&response)).unwrap_or_default();
    (Told::new(decision, attributes.as_ref().map(Seen::from)), response, rule_input)
}
