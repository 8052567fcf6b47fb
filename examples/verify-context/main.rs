//! An upstream that believes only the gateway: it answers who asks, if the request's context token verifies, and 401 if not.
//!
//! ```text
//! cargo run -p bulkhead-tests --example verify-context -- http://127.0.0.1:9192/.well-known/jwks.json https://billing.acme.internal 127.0.0.1:8080
//! ```
#![expect(clippy::print_stdout, reason = "an example")]

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
};
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::RwLock;

mod verify;

use verify::{Context, Refused, verify};

struct Upstream {
    keys_at: String,
    audience: String,
    keys: RwLock<JwkSet>,
}

impl Upstream {
    async fn answer(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let token = headers.get("x-bulkhead-context").and_then(|value| value.to_str().ok()).ok_or(StatusCode::UNAUTHORIZED)?;
        let context = match self.verify(token).await {
            // A key that is new to us: the gateway publishes each before it signs, so this is rare.
            Err(Refused::UnknownKey) => {
                *self.keys.write().await = fetch(&self.keys_at).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
                self.verify(token).await
            }
            verified => verified,
        };
        let Context { tenant, sub, api, decision_id, .. } = context.map_err(|_| StatusCode::UNAUTHORIZED)?;
        Ok(format!("{} of {tenant} at {api}, decision {decision_id}\n", sub.as_deref().unwrap_or("somebody")))
    }

    async fn verify(&self, token: &str) -> Result<Context, Refused> {
        verify(token, &*self.keys.read().await, &self.audience)
    }
}

async fn fetch(url: &str) -> Result<JwkSet, Box<dyn std::error::Error>> {
    Ok(serde_json::from_slice(&reqwest::get(url).await?.error_for_status()?.bytes().await?)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(keys_at), Some(audience), Some(address)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: verify-context JWKS-URL OWN-ORIGIN ADDRESS".into());
    };
    let upstream = Arc::new(Upstream { keys: RwLock::new(fetch(&keys_at).await?), keys_at, audience });
    let app = Router::new().fallback(move |headers: HeaderMap| {
        let upstream = Arc::clone(&upstream);
        async move { upstream.answer(&headers).await }
    });
    println!("listening on {address}");
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await?;
    Ok(())
}
