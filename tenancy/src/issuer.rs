//! Who may sign a tenant's tokens, and how: the operator's grant, never the token's word.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use url::Url;

/// One issuer of one tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Issuer {
    /// The exact text that `iss` must equal: no prefix, suffix, case or slash is forgiven.
    pub id: IssuerId,
    /// Where its keys come from.
    pub keys: KeySource,
    /// `aud` must name one of these, when any are given.
    pub audiences: BTreeSet<String>,
    /// The algorithms that its keys may be used with; never empty, never HMAC.
    pub algorithms: BTreeSet<Algorithm>,
    /// The claim that must equal the tenant's name.
    pub tenant_claim: TenantClaim,
    /// Where roles stand in the claims.
    pub roles_claims: Vec<ClaimPath>,
    /// Clock leeway in seconds for `exp` and `nbf`.
    pub leeway_seconds: u64,
}

/// The text of an issuer, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub(crate) Arc<str>);

impl IssuerId {
    /// An issuer as the operator wrote it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for IssuerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Where an issuer's keys come from. URLs here were written by the operator (or made from the operator's template), which is what S18
/// lets them be loopback for, or plain http.
#[derive(Debug, Clone, PartialEq)]
pub enum KeySource {
    /// OIDC discovery at the issuer; the discovered `jwks_uri` is not the operator's word (S18).
    Discovery(Url),
    /// A key set at a known place.
    JwksUri(Url),
    /// The keys themselves, as the JWK texts of the set: each is parsed alone, so that one bad key spoils no other (S19).
    Inline(Vec<serde_json::Value>),
}

/// The signature algorithms that a token may have (RFC 7518 section 3, RFC 8037). There is no HMAC and no `none` to name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are RFC 7518's and RFC 8037's own")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// Every algorithm: the default list of an issuer.
    pub const ALL: [Self; 9] =
        [Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512, Self::ES256, Self::ES384, Self::EdDSA];

    /// The name as a JOSE header writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of that name, if it is one of ours.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// The leeway of an issuer that states none, in seconds.
pub const DEFAULT_LEEWAY: u64 = 30;

/// The claim that names the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantClaim {
    /// Its name; `tenant_id` by default.
    pub name: String,
    /// Whether a token without it is refused.
    pub required: bool,
}

/// A dotted path into the claims: `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimPath(pub(crate) Vec<String>);

impl ClaimPath {
    /// The names along the path, at least one.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }
}

impl Default for TenantClaim {
    fn default() -> Self {
        Self { name: "tenant_id".to_owned(), required: false }
    }
}

impl ClaimPath {
    /// Where Keycloak and most others put roles: the list of an issuer that states none.
    #[must_use]
    pub fn default_roles() -> Vec<Self> {
        vec![Self(vec!["roles".to_owned()]), Self(vec!["realm_access".to_owned(), "roles".to_owned()])]
    }
}

/// Why a text is not a path into the claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be the names of claims joined by dots, 256 bytes at the most: `realm_access.roles`")]
pub struct ClaimPathError;

impl FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(text: &str) -> Result<Self, ClaimPathError> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        if text.len() > 256 || text.contains(char::is_control) || names.iter().any(String::is_empty) {
            Err(ClaimPathError)
        } else {
            Ok(Self(names))
        }
    }
}
