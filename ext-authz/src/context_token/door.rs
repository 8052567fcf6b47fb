//! `/.well-known/jwks.json` on the health door: the public keys of context tokens, for everybody.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};

use super::ContextTokens;

/// The route. Verifiers may keep the set for ten minutes: a key is published for longer before it signs.
pub fn router(tokens: Arc<ContextTokens>) -> Router {
    Router::new().route("/.well-known/jwks.json", get(keys)).with_state(tokens)
}

async fn keys(State(tokens): State<Arc<ContextTokens>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=600")], tokens.jwks())
}
