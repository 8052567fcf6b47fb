//! One decision, from start to end: the five steps in their order. The first that denies answers (SEMANTICS, Precedence).

use std::{future::Future, sync::Arc};

use bulkhead_proto::contract::header;
use bulkhead_tenancy::{clock::Clock, snapshot::Snapshot};
use tokio::time::Instant;

use crate::{
    attributes::{Attributes, Context, understood_as},
    guardrails::{Asked, Found, Guardrails, Passed, access},
    purse::{Allowance, Purse},
    route::{
        self,
        address::{Address, Host},
        forward,
        path::SafePath,
    },
    tenant::{Addressed, Identity, Presented, Refusal, Sender},
    verdict::{Allowed, Caller, Denial, Facts, Named, Obligations, Reason, Step, Verdict},
};

#[cfg(test)]
mod tests;

/// Who proves callers: [`Identity`], and whoever stands in for it in tests.
pub trait Identify: Send + Sync + 'static {
    /// Proves who makes a request; see [`Identity::identify`].
    fn identify(
        &self,
        snapshot: &Arc<Snapshot>,
        presented: &Presented<'_>,
        addressed: Addressed<'_>,
        sender: Sender,
    ) -> impl Future<Output = Result<Caller, Refusal>> + Send;

    /// The time of I/O threads that it shares with whatever else is done there.
    fn at_once(&self) -> Arc<Purse> {
        Arc::new(Purse::full(Allowance::of_all()))
    }
}

impl Identify for Identity {
    fn identify(
        &self,
        snapshot: &Arc<Snapshot>,
        presented: &Presented<'_>,
        addressed: Addressed<'_>,
        sender: Sender,
    ) -> impl Future<Output = Result<Caller, Refusal>> + Send {
        Self::identify(self, snapshot, presented, addressed, sender)
    }

    fn at_once(&self) -> Arc<Purse> {
        Arc::clone(Self::at_once(self))
    }
}

/// What the operator declares of the Envoy in front of us, for every route (a route's context may declare it for itself, S14).
#[derive(Debug, Clone, Copy, Default)]
pub struct Declared {
    /// Bodies are buffered.
    pub body: bool,
    /// ext_proc stands in the chain.
    pub process: bool,
    /// Limits are charged by Check: a route whose chain has nobody else to charge them asks for that.
    pub limits: bool,
}

impl Declared {
    /// What holds on one route: what its context declares, else what is declared for all.
    fn at(self, context: &Context<'_>) -> Self {
        Self { body: context.body.unwrap_or(self.body), process: context.process.unwrap_or(self.process), ..self }
    }
}

/// When the parts of a decision are due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// Who sent it is proven until then, or not at all.
    pub proof: Instant,
    /// The whole is judged until then, or denied.
    pub verdict: Instant,
}

impl Due {
    /// All of it at one moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self { proof: moment, verdict: moment }
    }
}

/// Whoever decides.
pub struct Judge<I> {
    identity: I,
    clock: Arc<dyn Clock>,
    declared: Declared,
    guardrails: Guardrails,
}

/// What is known so far, kept where a denial cannot lose it.
#[derive(Default)]
struct Trail {
    step: Step,
    facts: Facts,
    found: Found,
}

impl<I: Identify> Judge<I> {
    /// A judge over an identity step.
    pub fn new(identity: I, clock: Arc<dyn Clock>, declared: Declared) -> Self {
        let guardrails = Guardrails::sharing(identity.at_once());
        Self { identity, clock, declared, guardrails }
    }

    /// The guardrails that it judges by.
    #[must_use]
    pub fn guardrails(&self) -> &Guardrails {
        &self.guardrails
    }

    /// Decides about a request by one snapshot.
    pub async fn decide(&self, snapshot: &Arc<Snapshot>, request: &Attributes<'_>, due: Due) -> Verdict {
        let mut trail = Trail::default();
        let outcome = self.walk(snapshot, request, due, &mut trail).await;
        let Trail { step, facts, found: Found { findings, shadow, rule_input, held: _ } } = trail;
        Verdict { outcome, step, facts: Facts { findings, ..facts }, shadow, charged: None, rule_input }
    }

    async fn walk(&self, snapshot: &Arc<Snapshot>, request: &Attributes<'_>, due: Due, trail: &mut Trail) -> Result<Allowed, Denial> {
        // Attributes: can this request be judged at all?
        if request.headers.names().any(|name| understood_as(name, header::HOP)) {
            return Err(Denial::new(Reason::Loop, "the request already carries our hop mark"));
        }
        let path = SafePath::judge(request.path)?;
        let host = Host::of_authority(request.authority)?;
        let address = Address::of(snapshot, &host, path, &request.context);
        let Address { tenant, api, consistent, .. } = &address;
        trail.facts.named = Some(Named { tenant: tenant.map(str::to_owned), api: api.map(str::to_owned), agree: *consistent });

        trail.step = Step::Tenant;
        let caller = self.prove(snapshot, request, &address, due.proof, trail).await?;
        let tenant = caller.tenant.clone();
        route::owned(snapshot, &tenant, &request.context, &request.route)?;

        trail.step = Step::Route;
        let policy = route::policy(&tenant)?;
        let subscription = access::subscription(policy, &caller)?;
        trail.facts.subscription.clone_from(&subscription);
        route::served(&tenant)?;
        let api = route::api(policy, address.api)?;
        trail.facts.api = Some(api.clone());
        access::credentials(api, &caller)?;
        route::method(api, request.method)?;
        route::documented(api, address.rest, request.method)?;

        trail.step = Step::Guardrails;
        let asked = Asked {
            policy,
            api,
            caller: &caller,
            subscription: subscription.as_ref(),
            request,
            path: address.rest,
            declared: self.declared.at(&request.context),
            now: self.clock.now_s(),
            until: due.verdict,
        };
        let Passed { process, cost, shown } = self.guardrails.judge(&asked, &mut trail.found).await?;

        trail.step = Step::Reply;
        if request.context.limits && !self.declared.limits {
            return Err(Denial::new(Reason::Unavailable, "the route leaves limits to Check, which has no --store to charge them in"));
        }
        let upstream = forward::upstream(snapshot.platform(), api, address.rest, request.query)?;
        let obligations = Obligations { process, upstream, forward_credentials: api.forward_credentials, shown, context_token: None };
        Ok(Allowed { caller, api: api.clone(), subscription, obligations, cost })
    }

    /// Whoever the credentials prove, if it is whom the request addresses.
    async fn prove(
        &self,
        snapshot: &Arc<Snapshot>,
        request: &Attributes<'_>,
        address: &Address<'_>,
        until: Instant,
        trail: &mut Trail,
    ) -> Result<Caller, Denial> {
        let presented = Presented {
            authorization: request.headers.all("authorization").collect(),
            api_key: request.headers.all(header::API_KEY).collect(),
        };
        let addressed = Addressed { name: address.tenant, consistent: address.consistent };
        let sender = Sender { source: request.source, until };
        match self.identity.identify(snapshot, &presented, addressed, sender).await {
            Ok(caller) => {
                trail.facts.tenant = Some(caller.tenant.clone());
                trail.facts.subject.clone_from(&caller.subject);
                trail.facts.client.clone_from(&caller.client);
                // Identity has seen to this; it is the one thing that must never be wrong.
                let meant = address.tenant.is_none_or(|named| named == caller.tenant.name.as_str());
                if !meant || !address.consistent {
                    return Err(Denial::new(Reason::WrongTenant, "the credentials prove another tenant than the request addresses"));
                }
                Ok(caller)
            }
            Err(Refusal { denial, proven }) => {
                trail.facts.tenant = proven;
                Err(denial)
            }
        }
    }
}
