//! What is remembered is who somebody is, never what they may do (S23).

use bulkhead_tenancy::name::TenantUid;

use super::*;

#[tokio::test]
async fn s23_a_remembered_token_expires_by_the_clock() {
    let world = World::new();
    let token = token_with(ACME, json!({"exp": NOW_S + 100}));
    assert!(world.token(&token, None).await.is_ok());
    world.clock.advance_us(129_000_000);
    assert!(world.token(&token, None).await.is_ok(), "within the leeway");
    world.clock.advance_us(1_000_000);
    assert_eq!(world.token(&token, None).await, Err(Reason::InvalidToken));
    let early = token_with(ACME, json!({"nbf": NOW_S + 120, "exp": NOW_S + 500}));
    assert!(world.token(&early, None).await.is_ok());
    world.clock.set_us(NOW_US);
    assert_eq!(world.token(&early, None).await, Err(Reason::InvalidToken), "the clock was set back");
}

#[tokio::test]
async fn s23_a_withdrawn_key_stops_its_tokens_at_the_next_refresh() {
    let world = World::new();
    let token = token_with(ACME, json!({"exp": NOW_S + 3_000}));
    assert!(world.token(&token, None).await.is_ok());
    world.provider.set(ACME, Answer::Keys(vec![Signer::ed25519().jwk("another")]));
    world.clock.advance_us(300_000_000);
    // This request starts the refresh, and may still be served by the old keys.
    let _ = world.token(&token, None).await;
    until("the refresh is done", || world.provider.asked() >= 2).await;
    let mut last = Ok(String::new());
    for _ in 0..1_000 {
        last = world.token(&token, None).await;
        if last.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(last, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn s23_a_remembered_token_is_not_believed_longer_than_its_keys() {
    let world = World::new();
    let token = token_with(ACME, json!({"exp": NOW_S + 100_000}));
    assert!(world.token(&token, None).await.is_ok());
    world.provider.set(ACME, Answer::Down);
    world.clock.advance_us(3_599_000_000);
    assert!(world.token(&token, None).await.is_ok());
    world.clock.advance_us(2_000_000);
    assert_eq!(world.token(&token, None).await, Err(Reason::Unavailable));
}

#[tokio::test]
async fn s23_a_tenant_made_anew_under_its_old_name_inherits_no_token() {
    let mut world = World::new();
    let token = token_of(ACME);
    assert!(world.token(&token, None).await.is_ok());
    world.snapshot = snapshot(Written { uid: "uid-acme-2", ..PLAIN });
    world.provider.set(ACME, Answer::Keys(vec![Signer::ed25519().jwk("k")]));
    assert_eq!(world.token(&token, None).await, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn s23_a_changed_issuer_judges_remembered_tokens_anew() {
    let mut world = World::new();
    let token = token_of(ACME);
    assert!(world.token(&token, None).await.is_ok());
    world.snapshot = snapshot(Written { issuer: "audiences: [gateway]", ..PLAIN });
    assert_eq!(world.token(&token, None).await, Err(Reason::InvalidToken));
    world.snapshot = snapshot(Written { issuer: "tenantClaim: { name: org, required: true }", ..PLAIN });
    assert_eq!(world.token(&token, None).await, Err(Reason::InvalidToken));
    world.snapshot = snapshot(PLAIN);
    assert!(world.token(&token, None).await.is_ok());
    assert_eq!(world.provider.asked(), 1, "what keys are not read by does not fetch them again");
}

#[tokio::test]
async fn s23_the_subscription_is_read_from_the_snapshot_at_every_hit() {
    let mut world = World::new();
    let token = token_with(ACME, json!({"azp": "other"}));
    let both = Ask { token: Some(&token), key: Some(ACME_KEY), ..Ask::default() };
    let first = world.ask(both).await.unwrap();
    world.snapshot = snapshot(PLAIN);
    let second = world.ask(both).await.unwrap();
    assert!(!Arc::ptr_eq(&first.tenant, &second.tenant));
    assert!(Arc::ptr_eq(&second.tenant, world.snapshot.tenant("acme").unwrap()));
}

#[tokio::test]
async fn a_hit_is_of_the_whole_token_and_a_failure_is_not_remembered() {
    let world = World::new();
    let token = token_of(ACME);
    assert!(world.token(&token, None).await.is_ok());
    // The same header and claims under another signature.
    let (message, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", testing::base64(Signer::ed25519().sign(message.as_bytes())));
    for _ in 0..3 {
        assert_eq!(world.token(&forged, None).await, Err(Reason::InvalidToken));
    }
    assert!(world.identity.verified.get(&verified::TokenHash::of(&forged)).is_none());
    assert!(world.identity.verified.get(&verified::TokenHash::of(&token)).is_some());
    // A token that was refused for the moment is good when its moment comes.
    let early = token_with(ACME, json!({"nbf": NOW_S + 100}));
    assert!(world.token(&early, None).await.is_err());
    world.clock.advance_us(100_000_000);
    assert!(world.token(&early, None).await.is_ok());
}

#[tokio::test]
async fn s5_tokens_are_remembered_within_each_tenants_own_share() {
    let tokens = Shares { floor: 2_000, ceiling: 2_000, pool: 0 };
    let world = World::with(PLAIN, Settings { caps: Caps { tokens, ..Caps::default() }, ..Settings::default() });
    let victim = token_of(GLOBEX);
    assert!(world.token(&victim, None).await.is_ok());
    let flood: Vec<String> = (0..50).map(|number| token_with(ACME, json!({"jti": number}))).collect();
    for token in &flood {
        assert!(world.token(token, None).await.is_ok(), "what is not remembered is verified all the same");
    }
    let remembered = |token: &String| world.identity.verified.get(&verified::TokenHash::of(token)).is_some();
    let kept = flood.iter().filter(|token| remembered(token)).count();
    assert!((1..10).contains(&kept), "{kept}");
    assert!(remembered(&victim), "nobody's flood pushes it out");
}

#[tokio::test]
async fn s5_what_is_forgotten_gives_its_bytes_back() {
    let world = World::new();
    let token = token_of(ACME);
    assert!(world.token(&token, None).await.is_ok());
    let compartment = world.identity.compartments.of(&world.snapshot.tenant("acme").unwrap().uid);
    assert!(compartment.bounds.tokens.held() > 0);
    world.identity.verified.forget(&verified::TokenHash::of(&token));
    until("the bytes are back", || {
        let _ = world.identity.verified.get(&verified::TokenHash::of("another"));
        compartment.bounds.tokens.held() == 0
    })
    .await;
}

/// What Check tells of acme's caller, and what is made of it.
async fn told(world: &World) -> (String, SignedBy) {
    let caller = world.ask(Ask { token: Some(&token_of(ACME)), ..Ask::default() }).await.unwrap();
    let told = caller.signed_by.unwrap().to_string();
    let read = SignedBy::read(&told, &caller.tenant.uid, &world.snapshot).unwrap();
    (told, read)
}

fn uid(name: &str) -> TenantUid {
    name.parse().unwrap()
}

const LATELY: Duration = Duration::ZERO;

#[tokio::test]
async fn s23_what_a_key_signed_is_accepted_while_its_issuer_has_it_and_no_longer_though_no_request_comes() {
    let world = World::new();
    let (told, signed) = told(&world).await;
    let keys = world.identity.keys_in_force();
    let accepted = |snapshot: &Arc<Snapshot>| keys.accept(&signed, &uid("uid-acme"), snapshot, LATELY);
    assert!(accepted(&world.snapshot));
    for changed in [Written { issuer: "audiences: [gateway]", ..PLAIN }, Written { uid: "uid-acme-2", ..PLAIN }] {
        assert!(!accepted(&snapshot(changed)), "a new request is judged anew");
    }
    assert!(!keys.accept(&signed, &uid("uid-globex"), &world.snapshot, LATELY));
    for (other, tenant) in [(told.as_str(), "uid-globex"), (&told[1..], "uid-acme"), ("", "uid-acme"), (&told[..64], "uid-acme")] {
        assert!(SignedBy::read(other, &uid(tenant), &world.snapshot).is_none(), "{other:?} of {tenant}");
    }
    // The same key under another name is the same key.
    world.provider.set(ACME, Answer::Keys(vec![Signer::ed25519().jwk("k"), signer(ACME).jwk("renamed")]));
    world.clock.advance_us(301_000_000);
    let _ = accepted(&world.snapshot);
    until("it is asked for", || world.provider.asked() == 2).await;
    assert!(accepted(&world.snapshot));
    world.provider.set(ACME, Answer::Keys(vec![Signer::ed25519().jwk("k")]));
    world.clock.advance_us(301_000_000);
    until("it is withdrawn", || !accepted(&world.snapshot)).await;
    assert_eq!(world.provider.asked(), 3, "by two refreshes, however often it was looked");
}

#[tokio::test]
async fn s23_what_a_key_signed_is_not_accepted_longer_than_keys_are_believed() {
    let world = World::new();
    let (_, signed) = told(&world).await;
    let accepted = |world: &World, ago| world.identity.keys_in_force().accept(&signed, &uid("uid-acme"), &world.snapshot, ago);
    world.provider.set(ACME, Answer::Down);
    world.clock.advance_us(3_599_000_000);
    assert!(accepted(&world, LATELY));
    world.clock.advance_us(2_000_000);
    until("its keys are too old", || !accepted(&world, LATELY)).await;
    // Where they never were, nobody knows better; but not for longer.
    let elsewhere = World::new();
    elsewhere.provider.set(ACME, Answer::Down);
    for _ in 0..3 {
        assert!(accepted(&elsewhere, Duration::from_secs(3_599)));
        assert!(!accepted(&elsewhere, Duration::from_secs(3_600)));
        until("it is asked for", || elsewhere.provider.asked() > 0).await;
    }
    elsewhere.provider.set(ACME, Answer::Keys(vec![signer(ACME).jwk("k")]));
    elsewhere.clock.advance_us(61_000_000);
    until("the keys are there", || accepted(&elsewhere, Duration::from_secs(9_999))).await;
}

#[tokio::test]
async fn what_is_gone_is_swept_away_where_nobody_ever_asks_for_an_identity() {
    let world = World::new();
    let (_, signed) = told(&world).await;
    let replica = World::new();
    let keys = replica.identity.keys_in_force();
    let acme = &world.snapshot.tenant("acme").unwrap().uid;
    let gone = replica.identity.compartments.of(&"uid-gone".parse().unwrap());
    assert_eq!(Arc::strong_count(&gone), 2);
    let _ = keys.accept(&signed, acme, &replica.snapshot, Duration::ZERO);
    until("it is swept", || Arc::strong_count(&gone) == 1).await;
}
