//! The claims of a verified token that decisions go by.

use std::sync::Arc;

use bulkhead_tenancy::{
    issuer::{ClaimPath, Issuer},
    tenant::Tenant,
};
use serde_json::{Map, Value};

/// The latest moment that a date may name: the end of the year 9999, in seconds since 1970.
const LAST_DATE: i64 = 253_402_300_799;

/// Why signed claims do not prove a caller: for the operator; it quotes nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unfit(&'static str);

impl Unfit {
    /// The reason as text.
    pub(super) fn why(self) -> &'static str {
        self.0
    }
}

/// What we go by, typed, and shared with whoever is proven by it. It holds verification only; nothing in it is a permission (S23).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    /// `sub`
    pub(super) subject: Option<Arc<str>>,
    /// `azp`, else `client_id`
    pub(super) client: Option<Arc<str>>,
    /// What stands at the issuer's roles claims.
    pub(super) roles: Arc<[String]>,
    /// `scope`, else `scp`
    pub(super) scopes: Arc<[String]>,
    /// The issuer's tenant claim, where there is one.
    tenant: Option<String>,
    /// `exp`, in seconds since 1970: from then on it is refused.
    expires: i64,
    /// `nbf`, in seconds since 1970: before it, it is refused.
    not_before: Option<i64>,
}

impl Claims {
    /// Reads the claims, and judges those that do not depend on the moment or the snapshot: types, `aud`, one client.
    pub(super) fn read(claims: &Map<String, Value>, issuer: &Issuer) -> Result<Self, Unfit> {
        judge_audience(claims.get("aud"), issuer)?;
        // Most ID tokens have it, and so have the access tokens of Dex, which are made as those are: `audiences` alone tell one from the other there.
        if issuer.audiences.is_empty() && claims.contains_key("at_hash") {
            return Err(Unfit("`at_hash`: an ID token, as far as can be told without `audiences` of the issuer"));
        }
        let expires = date(claims, "exp")?.ok_or(Unfit("no `exp`"))?;
        let not_before = date(claims, "nbf")?;
        date(claims, "iat")?;
        let client = match (text(claims, "azp")?, text(claims, "client_id")?) {
            (Some(azp), Some(id)) if azp != id => return Err(Unfit("`azp` and `client_id` differ")),
            (azp, id) => azp.or(id),
        };
        Ok(Self {
            subject: text(claims, "sub")?.map(Arc::from),
            client: client.map(Arc::from),
            roles: roles(claims, &issuer.roles_claims).into(),
            scopes: scopes(claims)?.into(),
            tenant: text(claims, &issuer.tenant_claim.name)?.map(str::to_owned),
            expires: floor(expires),
            not_before: not_before.map(ceil),
        })
    }

    /// Judges what changes with the moment and the snapshot: at first sight and at every hit of the cache alike.
    pub(super) fn stand(&self, tenant: &Tenant, issuer: &Issuer, now_s: i64) -> Result<(), Unfit> {
        if now_s >= self.expires(issuer) {
            return Err(Unfit("expired"));
        }
        if self.not_before.is_some_and(|from| now_s.saturating_add(leeway(issuer)) < from) {
            return Err(Unfit("not valid yet"));
        }
        match &self.tenant {
            Some(claimed) if claimed != tenant.name.as_str() => Err(Unfit("the tenant claim names another tenant")),
            None if issuer.tenant_claim.required || tenant.plan.require_tenant_claim => Err(Unfit("no tenant claim")),
            _ => Ok(()),
        }
    }

    /// From when on they do not stand, in seconds since 1970.
    pub(super) fn expires(&self, issuer: &Issuer) -> i64 {
        self.expires.saturating_add(leeway(issuer))
    }

    /// Seconds from a moment to `exp`, leeway left out: how long it may be remembered.
    pub(super) fn seconds_left(&self, now_s: i64) -> u64 {
        u64::try_from(self.expires.saturating_sub(now_s)).unwrap_or(0)
    }

    /// About how many bytes of heap it holds.
    pub(super) fn heap_bytes(&self) -> usize {
        let lists = self.roles.iter().chain(self.scopes.iter()).chain(&self.tenant).map(String::as_str);
        let texts = lists.chain(self.subject.as_deref()).chain(self.client.as_deref());
        texts.map(|text| text.len() + size_of::<String>()).sum()
    }
}

fn leeway(issuer: &Issuer) -> i64 {
    i64::try_from(issuer.leeway_seconds).unwrap_or(i64::MAX)
}

/// A text claim; another type is refused, `null` too: a claim that cannot be understood is never as good as none.
fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, Unfit> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Unfit("a claim that must be a text is none")),
    }
}

/// A NumericDate (RFC 7519 section 2): seconds since 1970, possibly with a fraction.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Unfit> {
    #[expect(clippy::cast_precision_loss, reason = "the end of the year 9999 is far inside 2^53")]
    const LAST: f64 = LAST_DATE as f64;
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(seconds) if (0.0..=LAST).contains(&seconds) => Ok(Some(seconds)),
            _ => Err(Unfit("a date outside 1970 to 9999")),
        },
        Some(_) => Err(Unfit("a date that is no number")),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`date` bounds it to 0 to LAST_DATE")]
fn floor(seconds: f64) -> i64 {
    seconds.floor() as i64
}

#[expect(clippy::cast_possible_truncation, reason = "`date` bounds it to 0 to LAST_DATE")]
fn ceil(seconds: f64) -> i64 {
    seconds.ceil() as i64
}

/// `aud`: a text or a list of texts (RFC 7519 section 4.1.3), one of which must be configured where any are.
fn judge_audience(aud: Option<&Value>, issuer: &Issuer) -> Result<(), Unfit> {
    let named: Vec<&str> = match aud {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().map(|one| one.as_str().ok_or(Unfit("`aud` holds what is no text"))).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(Unfit("`aud` is neither text nor list")),
    };
    if issuer.audiences.is_empty() || named.iter().any(|one| issuer.audiences.contains(*one)) {
        Ok(())
    } else {
        Err(Unfit("`aud` names none of the issuer's audiences"))
    }
}

/// Roles at every configured path, each once. What is no text there is no role, and takes none away.
fn roles(claims: &Map<String, Value>, paths: &[ClaimPath]) -> Vec<String> {
    let mut roles: Vec<String> = Vec::new();
    for path in paths {
        let (Some((last, parents)), mut at) = (path.segments().split_last(), Some(claims)) else { continue };
        for name in parents {
            at = at.and_then(|object| object.get(name)).and_then(Value::as_object);
        }
        let found: &[Value] = match at.and_then(|object| object.get(last)) {
            Some(Value::Array(list)) => list,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        roles.extend(found.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// `scope`, space separated (RFC 8693 section 4.2), else `scp`; either may be a list.
fn scopes(claims: &Map<String, Value>) -> Result<Vec<String>, Unfit> {
    let mut scopes: Vec<String> = match claims.get("scope").or_else(|| claims.get("scp")) {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(_) => return Err(Unfit("scopes are neither text nor list")),
    };
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

#[cfg(test)]
mod tests;
