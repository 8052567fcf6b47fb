//! What Check told of its decision, from the metadata that Envoy forwards. Only the namespace that Envoy fills from ext_authz's own answer is
//! looked at; no header, and nothing that another filter wrote elsewhere (S7).

use std::str::FromStr;

use bulkhead_proto::{
    contract::{METADATA_NAMESPACE, metadata as key},
    pb::{
        envoy::config::core::v3::Metadata,
        google::protobuf::{Struct, value::Kind},
    },
};

use crate::{guardrails::mcp::Shown, verdict::Process};

/// An allow of ours, as its metadata tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The proven tenant's name.
    pub tenant: String,
    /// The API's name in that tenant's contract.
    pub api: String,
    /// The decision's id.
    pub decision_id: String,
    /// Which bodies were to be read.
    pub process: Process,
    /// The hash of the policy that decided.
    pub policy: String,
    /// What an answer to MCP's `tools/list` may show, if one is awaited.
    pub shown: Option<Shown>,
    /// The name of the caller's subscription, if it has one.
    pub subscription: Option<String>,
    /// From when on the caller's token or subscription does not hold, in seconds since 1970.
    pub expires: Option<i64>,
    /// The key that the token was verified by, to be read by [`SignedBy::read`](crate::tenant::SignedBy::read).
    pub signed_by: Option<String>,
}

impl Told {
    /// Reads the metadata. Whatever is missing, of another type or another verdict than `allow` is no allow of ours.
    #[must_use]
    pub fn of(metadata: Option<&Metadata>) -> Option<Self> {
        let ours = metadata?.filter_metadata.get(METADATA_NAMESPACE)?;
        if text(ours, key::VERDICT)? != "allow" {
            return None;
        }
        Some(Self {
            tenant: text(ours, key::TENANT)?.to_owned(),
            api: text(ours, key::API)?.to_owned(),
            decision_id: text(ours, key::DECISION_ID)?.to_owned(),
            process: Process::named(text(ours, key::PROCESS)?)?,
            policy: text(ours, key::POLICY)?.to_owned(),
            shown: written(ours, key::TOOLS)?,
            subscription: written(ours, key::SUBSCRIPTION)?,
            expires: written(ours, key::EXPIRES)?,
            signed_by: written(ours, key::SIGNED_BY)?,
        })
    }

    /// The decision's id alone, of an allow or a denial: for what is answered where nothing else can be believed.
    #[must_use]
    pub fn decision_id(metadata: Option<&Metadata>) -> Option<String> {
        text(metadata?.filter_metadata.get(METADATA_NAMESPACE)?, key::DECISION_ID).map(str::to_owned)
    }
}

/// What stands there at times; none at all where it was not written by us.
fn written<T: FromStr>(ours: &Struct, key: &str) -> Option<Option<T>> {
    if !ours.fields.contains_key(key) {
        return Some(None);
    }
    text(ours, key)?.parse().ok().map(Some)
}

fn text<'a>(fields: &'a Struct, key: &str) -> Option<&'a str> {
    match fields.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}
