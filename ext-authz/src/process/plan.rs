//! Who reads which body of one request: from what Check told and from the tenant's policy as it stands now. Where the two differ, the stricter
//! holds (S14).

use std::{sync::Arc, time::Duration};

use bulkhead_proto::pb::envoy::config::core::v3::Metadata;
use bulkhead_tenancy::{
    api::{Api, Protocol},
    policy::{PolicyHash, TenantPolicy},
    snapshot::Snapshot,
    tenant::Tenant,
};

use super::{
    Side,
    answered::Answered,
    as_shown::AsShown,
    content::{Everything, OfPolicy},
    message::Buffering,
    reader::Reader,
    rewritten::Rewritten,
    told::Told,
    tools::ToolsList,
};
use crate::{
    guardrails::process::needed,
    route,
    tenant::{KeysInForce, SignedBy},
    verdict::{Denial, Process, Reason},
};

/// What is done with the bodies of one request.
#[derive(Clone)]
pub struct Plan {
    /// The tenant whose request it is.
    pub tenant: Arc<Tenant>,
    /// The API that it reaches.
    pub api: Arc<Api>,
    /// The tenant's policy that the readers are of.
    pub policy: PolicyHash,
    /// The decision that let it in.
    pub decision_id: String,
    /// From when on the token or the subscription that let it in does not hold, in seconds since 1970.
    pub expires: Option<i64>,
    /// What is told where that time has come: `subscription`, or `invalid_token`.
    pub expired: Reason,
    /// Whether Check told what a stream of events stands on, as it does wherever it has anything read.
    pub watched: bool,
    /// The key that verified that token.
    pub signed_by: Option<Signed>,
    /// Who reads the request's body, one after the other; nobody: it goes on unread.
    pub request: Vec<Arc<dyn Reader>>,
    /// Who reads the answer's body.
    pub response: Vec<Arc<dyn Reader>>,
}

/// The key of a token, as Check told it.
#[derive(Debug, Clone)]
pub enum Signed {
    /// It is known here.
    Read(SignedBy),
    /// The issuer is not the tenant's here: the replica that decided may be ahead of this one. A stream of events is given until it is looked for first.
    Unread(String),
}

impl Plan {
    /// The plan for a stream, from its first message.
    ///
    /// # Errors
    /// There is no metadata of ours, the tenant is not served any more, or what is asked for cannot be done.
    pub fn of(metadata: Option<&Metadata>, buffering: Buffering, snapshot: Option<&Arc<Snapshot>>) -> Result<Self, Denial> {
        let told = Told::of(metadata).ok_or_else(|| unavailable("the request carries no allow of ours: ext_authz did not see it (S14)"))?;
        let snapshot = snapshot.ok_or_else(|| unavailable("there is no snapshot yet"))?;
        let tenant = snapshot.tenant(&told.tenant).ok_or_else(|| unavailable("the tenant that was let in is not there any more"))?;
        route::served(tenant)?;
        let policy = route::policy(tenant)?;
        let api = route::api(policy, Some(&told.api))?;
        let read = |told: String| SignedBy::read(&told, &tenant.uid, snapshot).map_or(Signed::Unread(told), Signed::Read);
        let of_subscription = told.subscription.as_deref().and_then(|name| policy.subscription(name)?.expires_at);
        let expired =
            if of_subscription.is_some() && of_subscription == told.expires { Reason::Subscription } else { Reason::InvalidToken };
        let plan = Self {
            request: readers(Side::Request, &told, policy, api)?,
            response: readers(Side::Response, &told, policy, api)?,
            tenant: Arc::clone(tenant),
            api: Arc::clone(api),
            policy: policy.hash().clone(),
            decision_id: told.decision_id,
            expires: told.expires,
            expired,
            watched: told.process != Process::None,
            signed_by: told.signed_by.map(read),
        };
        let unseen = (!plan.request.is_empty() && !buffering.request) || (!plan.response.is_empty() && !buffering.response);
        if unseen {
            // An override of ours may be refused (`allow_mode_override`) without a word: only what the filter is set up with is certain.
            return Err(unavailable(
                "bodies must be read, and ext_proc is not set up with request_body_mode and response_body_mode BUFFERED",
            ));
        }
        Ok(plan)
    }

    /// Why a stream of events, which may be open for hours, must not go on: what it was opened by does not stand any more.
    #[must_use]
    pub fn over(&self, snapshot: Option<&Arc<Snapshot>>, now_s: i64) -> Option<Denial> {
        if self.expires.is_some_and(|expires| now_s >= expires) {
            return Some(Denial::new(self.expired, "the token or subscription that the stream of events was opened with has expired"));
        }
        let changed = || {
            unavailable("the tenant's policy, or what it is granted, is another than when the stream of events was opened: open it again")
        };
        (!self.stands(snapshot)).then(changed)
    }

    /// Why it must not go on because of the key that verified the token it was opened with, so long ago. That it is looked for takes more than the rest.
    #[must_use]
    pub fn withdrawn(&self, keys: &KeysInForce, snapshot: Option<&Arc<Snapshot>>, ago: Duration) -> Option<Denial> {
        let (signed_by, tenant) = (self.signed_by.as_ref()?, &self.tenant.uid);
        let accepted = snapshot.is_some_and(|snapshot| {
            let signed_by = match signed_by {
                Signed::Read(signed_by) => Some(signed_by.clone()),
                Signed::Unread(told) => SignedBy::read(told, tenant, snapshot),
            };
            signed_by.is_some_and(|signed_by| keys.accept(&signed_by, tenant, snapshot, ago))
        });
        let detail = "the key of the token that the stream of events was opened with is withdrawn, or its issuer is configured anew";
        (!accepted).then(|| Denial::new(Reason::InvalidToken, detail))
    }

    /// Whether the tenant is still served by the policy that the plan was made of, and is granted what it was. A grant that is wider ends it too: to open it again is
    /// judged anew, and takes a moment.
    fn stands(&self, snapshot: Option<&Arc<Snapshot>>) -> bool {
        let Some(tenant) = snapshot.and_then(|snapshot| snapshot.tenant(self.tenant.name.as_str())) else { return false };
        let same = || {
            let policy = route::policy(tenant).ok();
            let claimed = self.tenant.plan.require_tenant_claim || !tenant.plan.require_tenant_claim;
            let granted = tenant.hosts == self.tenant.hosts && tenant.upstreams == self.tenant.upstreams && claimed;
            let served = tenant.uid == self.tenant.uid && route::served(tenant).is_ok();
            served && granted && policy.is_some_and(|policy| *policy.hash() == self.policy)
        };
        Arc::ptr_eq(tenant, &self.tenant) || same()
    }

    /// Which bodies are read.
    #[must_use]
    pub fn process(&self) -> Process {
        let one = |readers: &Vec<_>, process| if readers.is_empty() { Process::None } else { process };
        one(&self.request, Process::Request) | one(&self.response, Process::Response)
    }

    /// Who reads one side.
    #[must_use]
    pub fn readers(&self, side: Side) -> &Vec<Arc<dyn Reader>> {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }
}

/// The readers of one side: the policy's, where Check or the policy as it stands now asks for it.
fn readers(side: Side, told: &Told, policy: &Arc<TenantPolicy>, api: &Arc<Api>) -> Result<Vec<Arc<dyn Reader>>, Denial> {
    let asks = |process: Process| match side {
        Side::Request => process.requests(),
        Side::Response => process.responses(),
    };
    let same = told.policy == policy.hash().as_str();
    if !asks(told.process) && (same || !asks(needed(&policy.guardrails().content))) {
        return Ok(Vec::new());
    }
    let mut readers: Vec<Arc<dyn Reader>> = Vec::new();
    if let Some(shown) = told.shown.as_ref().filter(|_| side == Side::Response) {
        readers.push(Arc::new(ToolsList::of(shown, policy, api)));
    }
    let mcp = api.protocol == Protocol::Mcp;
    let message = side == Side::Request && mcp;
    if let Some(reader) = OfPolicy::at(side, policy) {
        readers.push(match side {
            Side::Request if mcp => Arc::new(Rewritten::by(reader, policy, api)),
            Side::Response if mcp => Arc::new(Answered::by(reader)),
            _ => Arc::new(reader),
        });
    }
    // Check asks for a message to be read for no other reason of its own.
    if readers.is_empty() && !(same && message) {
        return Err(unavailable("the policy has changed since the request was let in, and what it asked for is not known any more"));
    }
    if !same {
        let everything = Everything::at(side);
        readers.push(match side {
            Side::Request if mcp => Arc::new(Rewritten::by(everything, policy, api)),
            Side::Response if mcp => Arc::new(Answered::by(everything)),
            _ => Arc::new(everything),
        });
    }
    // First: the others may write anew what could not be read.
    if message {
        readers.insert(0, Arc::new(AsShown));
    }
    Ok(readers)
}

fn unavailable(detail: &'static str) -> Denial {
    Denial { retry_after: Some(1), ..Denial::new(Reason::Unavailable, detail) }
}
