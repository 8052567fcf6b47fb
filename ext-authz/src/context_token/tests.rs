use std::collections::BTreeMap;

use bulkhead_tenancy::clock::ManualClock;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    keys::{AFTER, AHEAD, SIGNS},
    *,
};
use crate::{
    attributes::Attributes,
    decide::{Declared, Due, Judge},
    fixture::{self, Asked, Stand, get},
};

const NOW: i64 = 1_800_000_000;

fn keys(source: KeySource) -> Keys {
    Keys::new(source, NOW).unwrap()
}

fn tokens(source: KeySource) -> (ContextTokens, ManualClock) {
    let clock = ManualClock::at_us(u64::try_from(NOW).unwrap() * 1_000_000);
    (ContextTokens::new(keys(source), Arc::new(clock.clone())), clock)
}

async fn allowed(asked: Asked) -> Allowed {
    let snapshot = fixture::own();
    let clock: Arc<dyn Clock> = Arc::new(bulkhead_tenancy::clock::SystemClock);
    let judge = Judge::new(Stand, clock, Declared::default());
    let due = Due::at(tokio::time::Instant::now() + std::time::Duration::from_secs(5));
    judge.decide(&snapshot, &Attributes::of(asked.request()).unwrap(), due).await.outcome.unwrap()
}

/// What an upstream finds in a token by the keys that are published: its claims, if it stands at `now`.
fn read(jwks: &str, token: &ContextToken, audience: &str, now: i64) -> Option<BTreeMap<String, Value>> {
    let set: JwkSet = serde_json::from_str(jwks).unwrap();
    let header = jsonwebtoken::decode_header(token.as_str()).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some(TYPE), jsonwebtoken::Algorithm::ES256));
    let key = DecodingKey::from_jwk(set.find(header.kid.as_deref()?)?).unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.validate_exp = false;
    let claims: BTreeMap<String, Value> = jsonwebtoken::decode(token.as_str(), &key, &validation).ok()?.claims;
    (claims["exp"].as_i64()? > now).then_some(claims)
}

#[tokio::test]
async fn it_says_what_was_decided_and_no_more() {
    let (tokens, _) = tokens(KeySource::Own);
    let token = tokens.sign(&allowed(get("/acme/billing-api").by("acme client:app")).await, "the-decision", 60).unwrap();
    let claims = read(&tokens.jwks(), &token, "https://billing.acme.internal", NOW).unwrap();
    let expected = serde_json::json!({
        "iss": "urn:bulkhead", "aud": "https://billing.acme.internal", "iat": NOW, "exp": NOW + 60, "jti": "the-decision",
        "tenant": "acme", "sub": "alice", "subscription": "by-client", "api": "billing-api", "decision_id": "the-decision",
    });
    assert_eq!(serde_json::to_value(claims).unwrap(), expected);
    assert!(read(&tokens.jwks(), &token, "https://billing.globex.internal", NOW).is_none(), "another upstream's");
    assert!(token.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    // What an allow does not have is left out.
    let mut by_key = allowed(get("/acme/key-api").by("acme key")).await;
    (by_key.caller.subject, by_key.subscription) = (None, None);
    let claims = read(&tokens.jwks(), &tokens.sign(&by_key, "another", 60).unwrap(), "http://key.acme.internal", NOW).unwrap();
    assert!(!claims.contains_key("sub") && !claims.contains_key("subscription"));
}

#[tokio::test]
async fn s25_a_token_is_bounded_whatever_the_subject_is() {
    let (tokens, _) = tokens(KeySource::Own);
    let mut longest = allowed(get("/acme/billing-api").by("acme client:app")).await;
    longest.caller.subject = Some("ü".repeat(5_000).into());
    let token = tokens.sign(&longest, &uuid::Uuid::now_v7().to_string(), 3600).unwrap();
    assert!(token.as_str().len() < 1_500, "{}", token.as_str().len());
    let claims = read(&tokens.jwks(), &token, "https://billing.acme.internal", NOW).unwrap();
    assert_eq!(claims["sub"].as_str(), claim::visible(&"ü".repeat(5_000)).as_deref());
}

#[tokio::test]
async fn it_is_no_access_token_and_another_replica_did_not_sign_it() {
    let (own, _) = tokens(KeySource::Own);
    let (other, _) = tokens(KeySource::Own);
    let token = own.sign(&allowed(get("/acme/billing-api").by("acme")).await, "d", 60).unwrap();
    assert!(!crate::tenant::foreign::token(token.as_str()), "our own identity step refuses its type");
    assert!(read(&other.jwks(), &token, "https://billing.acme.internal", NOW).is_none());
}

#[test]
fn a_key_is_published_before_it_signs_and_after() {
    let keys = keys(KeySource::Own);
    let kids = |jwks: &str| -> Vec<String> {
        let set: Value = serde_json::from_str(jwks).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let first = kids(&keys.jwks());
    assert_eq!(first.len(), 1);
    keys.turn(NOW + SIGNS - AHEAD);
    let [one, two] = &kids(&keys.jwks())[..] else { panic!("two keys") };
    assert_eq!(one, &first[0], "the present key signs on");
    keys.turn(NOW + SIGNS);
    assert_eq!(keys.signing().kid(), two);
    assert_eq!(kids(&keys.jwks()), [two.clone(), one.clone()]);
    keys.turn(NOW + SIGNS + AFTER - 1);
    assert_eq!(kids(&keys.jwks()).len(), 2);
    keys.turn(NOW + SIGNS + AFTER);
    assert_eq!(kids(&keys.jwks()), std::slice::from_ref(two));
    assert!(!keys.jwks().contains("\"d\""), "no private half");
}

#[test]
fn a_file_is_followed_and_a_broken_one_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys.pem");
    let pem = || rcgen::KeyPair::generate().unwrap().serialize_pem();
    let (old, new) = (pem(), pem());
    std::fs::write(&path, &old).unwrap();
    let keys = keys(KeySource::File(path.clone()));
    let twin = Keys::new(KeySource::File(path.clone()), NOW).unwrap();
    assert_eq!(keys.jwks(), twin.jwks(), "replicas that share the file publish the same set");
    let first = keys.signing().kid().to_owned();
    for broken in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "nonsense"] {
        std::fs::write(&path, broken).unwrap();
        keys.turn(NOW + 60);
        assert_eq!(keys.signing().kid(), first);
        let error = Keys::new(KeySource::File(path.clone()), NOW).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
    // Published, then signing, then gone: as an operator rotates.
    std::fs::write(&path, format!("{old}{new}")).unwrap();
    keys.turn(NOW + 120);
    assert_eq!((keys.signing().kid(), keys.jwks().matches("\"kid\"").count()), (&*first, 2));
    std::fs::write(&path, &new).unwrap();
    keys.turn(NOW + 180);
    assert_ne!(keys.signing().kid(), first);
    assert!(keys.jwks().contains(&first), "until its tokens have expired");
    keys.turn(NOW + 180 + AFTER);
    assert!(!keys.jwks().contains(&first));
}

#[test]
fn a_new_key_of_a_file_signs_only_after_verifiers_know_it_wherever_it_stands() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys.pem");
    let pem = || rcgen::KeyPair::generate().unwrap().serialize_pem();
    let (old, new, third) = (pem(), pem(), pem());
    std::fs::write(&path, &old).unwrap();
    let keys = keys(KeySource::File(path.clone()));
    let first = keys.signing().kid().to_owned();
    // Placed first, as an operator does who has not read this.
    std::fs::write(&path, format!("{new}{old}")).unwrap();
    for at in [60, AHEAD - 60, AHEAD + 59] {
        keys.turn(NOW + at);
        assert_eq!((keys.signing().kid(), keys.jwks().matches("\"kid\"").count()), (&*first, 2), "{at}");
    }
    keys.turn(NOW + 60 + AHEAD);
    let second = keys.signing().kid().to_owned();
    assert_ne!(second, first);
    assert!(keys.jwks().contains(&first), "it is in the file");
    // The one that signs is taken away, as after a theft: not it, and not the newest, but the one that verifiers know.
    std::fs::write(&path, format!("{third}{old}")).unwrap();
    keys.turn(NOW + 120 + AHEAD);
    assert_eq!((keys.signing().kid(), keys.jwks().matches("\"kid\"").count()), (&*first, 3));
    // A clock that is set back, and forward again, makes nothing known sooner.
    keys.turn(NOW);
    keys.turn(NOW + AHEAD - 1);
    assert_eq!(keys.signing().kid(), first);
}

#[test]
fn a_key_that_is_not_on_p256_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys.pem");
    std::fs::write(&path, rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem()).unwrap();
    let error = Keys::new(KeySource::File(path.clone()), NOW).unwrap_err().to_string();
    assert!(error.ends_with("block 1 is no private key on P-256"), "{error}");
}

proptest! {
    /// Whatever the clock does between one turn and the next: a token verifies by the published keys from when it is signed until it expires.
    #[test]
    fn every_token_verifies_until_it_expires(steps in proptest::collection::vec((1_i64..3 * SIGNS, 1_u64..=3600), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let allow = runtime.block_on(allowed(get("/acme/billing-api").by("acme")));
        let (tokens, clock) = tokens(KeySource::Own);
        let mut now = NOW;
        for (step, ttl) in steps {
            let token = tokens.sign(&allow, "d", ttl).unwrap();
            let expires = now + i64::try_from(ttl).unwrap();
            let end = now + step;
            // Turns come once a minute; here at the moments that could matter.
            for at in [now + 60, expires - 1, now + SIGNS, end].into_iter().filter(|at| (now..=end).contains(at)) {
                clock.set_us(u64::try_from(at).unwrap() * 1_000_000);
                tokens.turn();
                let stands = read(&tokens.jwks(), &token, "https://billing.acme.internal", at).is_some();
                prop_assert_eq!(stands, at < expires);
            }
            now = end;
        }
    }
}
