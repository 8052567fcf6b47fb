//! Who may pass: the bearer of the operator's token, or of a tenant's own. Without a file of either, nobody.

use std::path::{Path, PathBuf};

use http::{HeaderMap, header};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{caller::Caller, tenants::TenantTokens, token::read_token};
use crate::{address::Address, fatal::Fatal};

/// Proves callers.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    loopback: bool,
    operator: Option<PathBuf>,
    tenants: Option<TenantTokens>,
}

impl Guard {
    /// Guards with the token of a file, and tenants' own with another: both must be good now.
    ///
    /// # Errors
    /// Usage (status 2): a file cannot be read, is no regular file, or holds no tokens. The text names the file, never its content.
    pub(crate) fn new(door: &Address, operator: Option<&Path>, tenants: Option<&Path>) -> Result<Self, Fatal> {
        if let Some(file) = operator {
            read_token(file).map_err(|why| Fatal::usage(format!("--admin-token-file {}: {why}", file.display())))?;
        }
        let tenants = tenants
            .map(|file| TenantTokens::open(file).map_err(|why| Fatal::usage(format!("--admin-tenant-tokens {}: {why}", file.display()))));
        let loopback = door.is_private() && matches!(door, Address::Tcp(_));
        Ok(Self { loopback, operator: operator.map(Path::to_path_buf), tenants: tenants.transpose()? })
    }

    /// Whether the door is a port of this machine alone.
    pub(super) fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Who sent this, if a token proves it.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let presented = bearer(headers).filter(|token| !token.is_empty())?.to_owned();
        let (operator, tenants) = (self.operator.clone(), self.tenants.clone());
        // Files are read at every request, so that a rotated token holds at once and the old one no longer.
        tokio::task::spawn_blocking(move || {
            if operator.is_some_and(|file| is_operators(&presented, &file)) {
                return Some(Caller::Operator);
            }
            tenants?.holder(&presented)
        })
        .await
        .ok()?
    }
}

/// A file that turned bad admits nobody.
fn is_operators(presented: &str, file: &Path) -> bool {
    match read_token(file) {
        Ok(token) => same(presented, token.expose_secret()),
        Err(why) => {
            tracing::error!(file = %file.display(), error = %why, "the admin token cannot be read: nobody is let in by it");
            false
        }
    }
}

/// The token of the one Authorization header; two are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares hashes in constant time: neither the length nor the first difference shows in how long it takes.
fn same(presented: &str, token: &str) -> bool {
    Sha256::digest(presented).ct_eq(&Sha256::digest(token)).into()
}
