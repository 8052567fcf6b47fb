//! The admin door: what the operator looks at. Everything on it, unknown paths too, needs the bearer token (S2).

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::fatal::Fatal;

/// What `/snapshot` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SnapshotReport {
    /// The generation of the snapshot that decides now; absent before the first.
    pub generation: Option<u64>,
    /// Every tenant, by name.
    pub tenants: Vec<TenantReport>,
}

/// One tenant of `/snapshot`.
#[derive(Debug, Clone, Serialize)]
pub struct TenantReport {
    /// Its name.
    pub tenant: String,
    /// Its state: `ready`, `last_good`, `unavailable`, `suspended`...
    pub state: String,
    /// The last error of its configuration, if the newest one is not what decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How old the policy that decides is, in seconds.
    pub age_seconds: u64,
}

/// `/snapshot` and the service's own routes, all behind the token.
pub(crate) fn router(report: Arc<dyn Fn() -> SnapshotReport + Send + Sync>, routes: Router, guard: Guard) -> Router {
    Router::new()
        .route("/snapshot", get(move || async move { Json(report()) }))
        .merge(routes)
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(middleware::from_fn_with_state(Arc::new(guard), authenticate))
}

async fn authenticate(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if guard.admits(request.headers()).await {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
    }
}

/// Who may pass: the bearer of the token in a file. Without a file, nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard {
    file: Option<PathBuf>,
}

impl Guard {
    /// Guards with the token of a file, which must be good now.
    ///
    /// # Errors
    /// Usage (status 2): the file cannot be read, is no regular file, or holds no token. The text names the file, never its content.
    pub(crate) fn new(file: Option<&Path>) -> Result<Self, Fatal> {
        if let Some(file) = file {
            read_token(file).map_err(|why| Fatal::usage(format!("--admin-token-file {}: {why}", file.display())))?;
        }
        Ok(Self { file: file.map(Path::to_path_buf) })
    }

    async fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(presented) = bearer(headers) else { return false };
        let Some(file) = self.file.clone() else { return false };
        // Read at every request, so that a rotated token holds at once and the old one no longer. A file that turned bad admits nobody.
        let read = tokio::task::spawn_blocking(move || (read_token(&file), file)).await;
        match read {
            Ok((Ok(token), _)) => same(presented, token.expose_secret()),
            Ok((Err(why), file)) => {
                tracing::error!(file = %file.display(), error = %why, "the admin token cannot be read: nobody is let in");
                false
            }
            Err(_) => false,
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

/// The largest token file.
const TOKEN_BYTES: u64 = 4096;

fn read_token(path: &Path) -> Result<SecretString, String> {
    // A link is followed (Kubernetes mounts secrets so), a pipe or a device is not opened.
    let found = fs::metadata(path).map_err(|why| why.to_string())?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|why| why.to_string())?;
    file.take(TOKEN_BYTES + 1).read_to_string(&mut text).map_err(|why| why.to_string())?;
    let token = SecretString::from(text);
    let length = token.expose_secret().len() as u64;
    if length > TOKEN_BYTES {
        return Err(format!("is larger than {TOKEN_BYTES} bytes"));
    }
    let trimmed = token.expose_secret().trim();
    if trimmed.is_empty() {
        return Err("is empty".to_owned());
    }
    if trimmed.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must hold one token on one line".to_owned());
    }
    Ok(SecretString::from(trimmed))
}
