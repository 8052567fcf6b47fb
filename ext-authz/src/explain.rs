//! `explain`: how one request would be decided, step by step, by the same code that serves.

use std::{fmt::Write as _, io::Read, io::Write as _, sync::Arc, time::Duration};

use bulkhead_doors::fatal::Fatal;
use bulkhead_proto::{json::check, pb::envoy::service::auth::v3::CheckRequest};
use bulkhead_tenancy::{
    clock::{Clock, SystemClock},
    loader,
    snapshot::Snapshot,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    args::ExplainArgs,
    attributes::{Attributes, Headers},
    decide::{Declared, Due, Identify, Judge},
    reply::Reply,
    route::{
        address::{Address, Host},
        path::SafePath,
    },
    serve,
    verdict::{Decision, Facts, Step, Verdict},
};

#[cfg(test)]
mod tests;

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
    let judge = Judge::new(serve::identity(&clock)?, clock, Declared::from(args.declared));
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

/// Five lines, a step each, and the response that Envoy would get.
async fn tell<I: Identify>(snapshot: &Arc<Snapshot>, judge: &Judge<I>, request: CheckRequest) -> String {
    let (verdict, attributes) = match Attributes::of(request) {
        Ok(attributes) => (judge.decide(snapshot, &attributes, Due::at(Instant::now() + PATIENCE)).await, Some(attributes)),
        Err(denial) => (Verdict::denied(denial), None),
    };
    let mut told = String::new();
    for (number, step) in (1..).zip(Step::ALL) {
        let line = match step.cmp(&verdict.step) {
            std::cmp::Ordering::Greater => "not reached".to_owned(),
            std::cmp::Ordering::Equal => format!("{}{}", decided(&verdict), learnt(step, snapshot, attributes.as_ref(), &verdict, "; ")),
            std::cmp::Ordering::Less => format!("passes{}", learnt(step, snapshot, attributes.as_ref(), &verdict, ": ")),
        };
        let _ = writeln!(told, "{number} {:<10}  {line}", step.name());
    }
    for mark in &verdict.shadow {
        let _ = writeln!(told, "  in shadow   the policy {} would deny: {}", mark.policy, mark.reason.name());
    }
    let decision = Decision { id: Uuid::now_v7().to_string(), generation: Some(snapshot.generation()), verdict };
    let nothing = Headers::default();
    let headers = attributes.as_ref().map_or(&nothing, |attributes| &attributes.headers);
    let response = check::write_response(&Reply::to(&decision, headers).into_response());
    let _ = writeln!(told, "{response:#}");
    told
}

fn decided(verdict: &Verdict) -> String {
    match &verdict.outcome {
        Ok(_) => "allows".to_owned(),
        Err(denial) => format!("DENIES {} {}: {}", denial.reason.status(), denial.reason.name(), denial.detail),
    }
}

/// What a step found out, after a mark that parts it from what stands before; nothing if it found nothing.
fn learnt(step: Step, snapshot: &Snapshot, attributes: Option<&Attributes>, verdict: &Verdict, mark: &str) -> String {
    let Facts { tenant, api, subscription, subject, .. } = &verdict.facts;
    let found = match step {
        Step::Attributes => attributes.map(|attributes| asked(snapshot, attributes)),
        Step::Tenant => tenant.as_ref().map(|tenant| {
            let who = subject.as_deref().map(|subject| format!(", subject {subject:?}")).unwrap_or_default();
            format!("the credentials prove {}{who}", tenant.name)
        }),
        Step::Route => api.as_ref().map(|api| format!("{} in its contract", api.name)),
        Step::Guardrails => subscription.as_ref().map(|subscription| format!("subscription {}", subscription.name)),
        Step::Reply => None,
    };
    found.map(|found| format!("{mark}{found}")).unwrap_or_default()
}

/// The request, and what it names.
fn asked(snapshot: &Snapshot, attributes: &Attributes) -> String {
    let Attributes { method, authority, path, headers, body, .. } = attributes;
    let named = match (Host::of_authority(authority), SafePath::judge(path)) {
        (Ok(host), Ok(path)) => {
            let address = Address::of(snapshot, &host, path, &attributes.context);
            let name = |name: Option<String>| name.map_or_else(|| "none".to_owned(), |name| format!("{name:?}"));
            let agree = if address.consistent { "" } else { ", which do not agree" };
            format!("; it names tenant {}, API {}{agree}", name(address.tenant), name(address.api))
        }
        _ => String::new(),
    };
    format!("{method:?} {path:?} at {authority:?}, {} headers, body {body:?}{named}", headers.len())
}
