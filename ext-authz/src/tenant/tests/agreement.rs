//! What is presented, what is addressed and what is proven must be one (S19, S20, S22).

use super::*;

#[tokio::test]
async fn a_token_proves_the_tenant_that_owns_its_issuer() {
    let world = World::new();
    let caller = world.ask(Ask { token: Some(&token_of(ACME)), name: Some("acme"), ..Ask::default() }).await.unwrap();
    assert_eq!(caller.tenant.name.as_str(), "acme");
    assert_eq!(caller.subject.as_deref(), Some("u-1"));
    assert_eq!(caller.client.as_deref(), Some("app"));
    assert_eq!((&*caller.roles, &*caller.scopes), (&["reader".to_owned()][..], &["a".to_owned(), "b".to_owned()][..]));
    assert!(caller.by_token && caller.by_key.is_none());
    assert_eq!(world.token(&token_of(GLOBEX), None).await.as_deref(), Ok("globex"));
}

#[tokio::test]
async fn s22_a_token_at_a_foreign_address_is_401_whether_or_not_somebody_lives_there() {
    let world = World::new();
    let token = token_of(ACME);
    for name in ["globex", "nobody", "broken", "ACME", "acme.", ""] {
        let refusal = world.ask(Ask { token: Some(&token), name: Some(name), ..Ask::default() }).await.unwrap_err();
        assert_eq!(refusal.denial, Denial::new(Reason::WrongTenant, "the address is not the proven tenant's"), "{name}");
        assert_eq!(refusal.proven.unwrap().name.as_str(), "acme", "recorded in the token's own tenant");
    }
    let inconsistent = Ask { token: Some(&token), name: Some("acme"), inconsistent: true, ..Ask::default() };
    assert_eq!(world.who(inconsistent).await, Err(Reason::WrongTenant));
}

#[tokio::test]
async fn an_api_key_proves_its_tenant_and_subscription() {
    let world = World::new();
    for name in [Some("acme"), None] {
        let caller = world.ask(Ask { key: Some(ACME_KEY), name, ..Ask::default() }).await.unwrap();
        assert_eq!(caller.tenant.name.as_str(), "acme");
        assert_eq!(caller.by_key.unwrap().name.as_str(), "of-key");
        assert!(!caller.by_token);
    }
}

#[tokio::test]
async fn s19_an_api_key_is_looked_up_in_its_own_tenant_only() {
    let world = World::new();
    assert_eq!(world.key(ACME_KEY, Some("globex")).await, Err(Reason::WrongTenant));
    // Another tenant's prefix on it makes it a key that nobody has.
    for key in
        ["globex.key-of-one2", "nobody.key-of-one", "ACME.key-of-one", ".key-of-one", "acme.", "acme.key-of-one.", "key-of-one", "acme"]
    {
        for name in [None, Some("acme"), Some("globex"), Some("nobody")] {
            assert_eq!(world.key(key, name).await, Err(Reason::InvalidToken), "{key} at {name:?}");
        }
    }
}

#[tokio::test]
async fn an_api_key_without_a_tenant_counts_only_where_the_address_names_one() {
    let world = World::new();
    assert_eq!(world.key(BARE_KEY, Some("acme")).await.as_deref(), Ok("acme"));
    for name in [None, Some("globex"), Some("nobody")] {
        assert_eq!(world.key(BARE_KEY, name).await, Err(Reason::InvalidToken), "{name:?}");
    }
    let inconsistent = Ask { key: Some(BARE_KEY), name: Some("acme"), inconsistent: true, ..Ask::default() };
    assert_eq!(world.who(inconsistent).await, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn s19_every_credential_presented_must_verify_and_agree() {
    let world = World::new();
    let both = |token: String, key: &'static str| {
        let world = &world;
        async move { world.who(Ask { token: Some(&token), key: Some(key), name: Some("acme"), ..Ask::default() }).await }
    };
    // The token's client belongs to no subscription: nothing to disagree about.
    let free = token_with(ACME, json!({"azp": "nobody's"}));
    assert_eq!(both(free.clone(), ACME_KEY).await.as_deref(), Ok("acme"));
    assert_eq!(both(token_of(ACME), ACME_KEY).await, Err(Reason::InvalidToken), "the client's subscription is another one");
    assert_eq!(both(free.clone(), "acme.wrong").await, Err(Reason::InvalidToken));
    assert_eq!(both(free, GLOBEX_KEY).await, Err(Reason::InvalidToken));
    assert_eq!(both(token_of(GLOBEX), ACME_KEY).await, Err(Reason::InvalidToken));
    assert_eq!(both(token_with(ACME, json!({"exp": NOW_S - 60})), ACME_KEY).await, Err(Reason::InvalidToken));
    assert_eq!(both("garbage".to_owned(), ACME_KEY).await, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn s22_that_a_tenant_has_no_policy_is_told_only_to_a_token_of_its_own() {
    let world = World::new();
    assert_eq!(world.key("broken.secret", Some("broken")).await, Err(Reason::InvalidToken));
    assert_eq!(world.key("nobody.secret", Some("nobody")).await, Err(Reason::InvalidToken));
    assert_eq!(world.token(&token_of(BROKEN), Some("broken")).await.as_deref(), Ok("broken"), "its 503 comes later");
    let token = token_of(BROKEN);
    let both = Ask { token: Some(&token), key: Some("broken.secret"), name: Some("broken"), ..Ask::default() };
    assert_eq!(world.who(both).await, Err(Reason::Unavailable));
    let elsewhere = Ask { token: Some(&token), key: Some("broken.secret"), name: Some("globex"), ..Ask::default() };
    assert_eq!(world.who(elsewhere).await, Err(Reason::WrongTenant));
}

#[tokio::test]
async fn s22_unavailable_keys_are_503_at_the_tenants_own_address_and_401_elsewhere() {
    let world = World::new();
    world.provider.set(ACME, Answer::Down);
    let token = token_of(ACME);
    assert_eq!(world.token(&token, Some("acme")).await, Err(Reason::Unavailable));
    assert_eq!(world.token(&token, None).await, Err(Reason::Unavailable));
    for name in ["globex", "nobody"] {
        assert_eq!(world.token(&token, Some(name)).await, Err(Reason::InvalidToken), "{name}");
    }
    let inconsistent = Ask { token: Some(&token), name: Some("acme"), inconsistent: true, ..Ask::default() };
    assert_eq!(world.who(inconsistent).await, Err(Reason::InvalidToken));
    let foreign_key = Ask { token: Some(&token), key: Some(GLOBEX_KEY), name: Some("acme"), ..Ask::default() };
    assert_eq!(world.who(foreign_key).await, Err(Reason::InvalidToken));
    assert_eq!(world.token(&token_of(GLOBEX), Some("globex")).await.as_deref(), Ok("globex"), "its own tenant only");
}

#[tokio::test]
async fn s22_keys_that_do_not_come_within_the_callers_time_are_503_at_the_tenants_own_address_and_401_elsewhere() {
    let world = World::new();
    world.provider.set(ACME, Answer::Late(Vec::new()));
    let token = token_of(ACME);
    for (name, reason) in [("acme", Reason::Unavailable), ("globex", Reason::InvalidToken), ("nobody", Reason::InvalidToken)] {
        let ask = Ask { token: Some(&token), name: Some(name), ..Ask::default() };
        let asked = Instant::now();
        let refusal = world.ask_within(ask, std::time::Duration::from_millis(30)).await.unwrap_err();
        assert_eq!(refusal.denial.reason, reason, "{name}");
        assert!(asked.elapsed() < std::time::Duration::from_secs(15), "well before identity's own bound");
    }
}

#[tokio::test]
async fn the_tenant_claim_must_be_the_tenants_name() {
    let world = World::new();
    assert_eq!(world.token(&token_with(ACME, json!({"tenant_id": "acme"})), None).await.as_deref(), Ok("acme"));
    for claim in [json!("globex"), json!("ACME"), json!(""), json!(["acme"]), json!(1)] {
        assert_eq!(world.token(&token_with(ACME, json!({"tenant_id": claim})), None).await, Err(Reason::InvalidToken), "{claim}");
    }
    assert_eq!(world.token(&token_of(STRICT), None).await, Err(Reason::InvalidToken), "the plan requires it");
    assert_eq!(world.token(&token_with(STRICT, json!({"tenant_id": "strict"})), None).await.as_deref(), Ok("strict"));
    let required = Written { issuer: "tenantClaim: { name: org, required: true }", ..PLAIN };
    let world = World::with(required, Settings::default());
    assert_eq!(world.token(&token_with(ACME, json!({"tenant_id": "acme"})), None).await, Err(Reason::InvalidToken));
    assert_eq!(world.token(&token_with(ACME, json!({"org": "acme"})), None).await.as_deref(), Ok("acme"));
}

#[tokio::test]
async fn nothing_presented_is_no_credentials() {
    assert_eq!(World::new().who(Ask { name: Some("acme"), ..Ask::default() }).await, Err(Reason::NoCredentials));
}
