//! What belongs to first sights alone: what a signature costs by itself, and what a remembered token takes.

use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_tests::issuer::key::Key;

use crate::{calls::Calls, client::Client, load::Subject, loading::memory_kb};

/// Signatures that are verified to learn what one costs.
const VERIFIED: u32 = 4_000;

/// What the crypto library alone needs to verify one, in microseconds: the least of several tries, as other processes only add to it.
pub(crate) fn alone_us(key: &Key) -> f64 {
    let jwk = key.jwk();
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a key on a curve")).expect("base64url");
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let message = [b'm'; 400];
    let signature = key.sign(&message);
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
    let tries = (0..5).map(|_| {
        let begun = Instant::now();
        for _ in 0..VERIFIED / 5 {
            public.verify(&message, &signature).expect("its own signature");
        }
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(VERIFIED / 5)
    });
    tries.fold(f64::INFINITY, f64::min)
}

/// By how many bytes the service grows for each token that it has not seen before.
pub(crate) async fn bytes_a_token(service: &Subject, calls: &Calls) -> f64 {
    let client = Client::connect(&service.uri, calls);
    let before = memory_kb(service.process);
    let sent = client.send(50, Duration::from_secs(3)).await.latencies.len();
    #[expect(clippy::cast_precision_loss, reason = "far inside 2^53")]
    let (grown, sent) = (memory_kb(service.process).saturating_sub(before) as f64 * 1024.0, sent.max(1) as f64);
    grown / sent
}
