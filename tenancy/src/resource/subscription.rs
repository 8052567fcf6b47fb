//! `kind: Subscription`: one client's or one key's share.

use super::{Metadata, quota, rate_limit};
use crate::{
    decode::Fields,
    limit::{Quota, RateLimit},
    name::{ApiName, SubscriptionName},
    place::At,
    subscription::{Holder, KeyHash},
};

/// A subscription as written.
#[derive(Debug, Clone)]
pub struct SubscriptionManifest {
    /// `metadata`
    pub metadata: Metadata<SubscriptionName>,
    /// `spec.apis`; absent: every API of the contract.
    pub apis: Option<Vec<At<ApiName>>>,
    /// `spec.keyHash` or `spec.clientId`: exactly one of them.
    pub holder: At<Holder>,
    /// `spec.rateLimit`
    pub rate_limit: Option<At<RateLimit>>,
    /// `spec.quotas`
    pub quotas: Vec<At<Quota>>,
    /// `spec.expiresAt`, in seconds since 1970.
    pub expires_at: Option<At<i64>>,
}

/// The longest client id, in bytes.
const MAX_CLIENT: usize = 256;

impl SubscriptionManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let apis = spec.optional("apis", |reader| reader.distinct(|value| value.parse()));
                let holder = read_holder(spec);
                let rate_limit = spec.optional("rateLimit", rate_limit::read);
                let quotas = spec.optional("quotas", quota::read).unwrap_or_default();
                let expires_at = spec.optional("expiresAt", |reader| reader.at(|reader| reader.parse_with(parse_moment)));
                Some(Self { metadata: metadata?, apis, holder: holder?, rate_limit, quotas, expires_at })
            })
        })
    }
}

fn read_holder(spec: &mut Fields<'_>) -> Option<At<Holder>> {
    let key = spec.optional("keyHash", |reader| reader.at(|reader| reader.parse_with(parse_key_hash).map(Holder::Key)));
    let client = spec.optional("clientId", |reader| reader.at(|reader| reader.text(MAX_CLIENT).map(Holder::Client)));
    match (spec.has("keyHash"), spec.has("clientId")) {
        (true, false) => key,
        (false, true) => client,
        _ => spec.refuse("must have either `keyHash` or `clientId`"),
    }
}

/// `sha256:` and 64 hexadecimal digits. What was written is not quoted: it could be the key itself.
fn parse_key_hash(text: &str) -> Result<KeyHash, &'static str> {
    let mut hash = [0; 32];
    let digits = text.strip_prefix("sha256:").filter(|digits| hex::decode_to_slice(digits, &mut hash).is_ok());
    digits.map(|_| KeyHash(hash)).ok_or("must be `sha256:` and the 64 hexadecimal digits of the whole key's SHA-256")
}

/// A moment of RFC 3339, in seconds since 1970.
fn parse_moment(text: &str) -> Result<i64, &'static str> {
    let moment: Result<jiff::Timestamp, _> = text.parse();
    moment.map(jiff::Timestamp::as_second).map_err(|_| "must be a moment with a time zone (RFC 3339): `2027-01-01T00:00:00Z`")
}
