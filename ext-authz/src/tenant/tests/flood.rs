//! Failed authentications and first sights, counted and capped (S5).

use super::*;

const COUNTED: Written =
    Written { platform: "authFailures: { perSourceMinute: 5, perTenantMinute: 8 }, unresolved: { requestsPerMinute: 1000000 }", ..PLAIN };

fn from<'a>(source: &'a str, token: &'a str) -> Ask<'a> {
    Ask { token: Some(token), name: Some("acme"), source: Some(source), ..Ask::default() }
}

#[tokio::test]
async fn s5_a_source_that_fails_too_often_is_refused_before_any_verification_and_nobody_else_is() {
    let world = World::with(COUNTED, Settings::default());
    let good = token_of(ACME);
    for _ in 0..5 {
        assert_eq!(world.who(from("192.0.2.1", "garbage")).await, Err(Reason::InvalidToken));
    }
    let refusal = world.ask(from("192.0.2.1", &good)).await.unwrap_err();
    assert_eq!(refusal.denial.reason, Reason::TooManyFailures);
    assert_eq!(refusal.denial.retry_after, Some(12), "one failure in twelve seconds");
    assert_eq!(world.provider.asked(), 0, "nothing was spent on it");
    assert_eq!(world.who(from("192.0.2.2", &good)).await.as_deref(), Ok("acme"));
    world.clock.advance_us(12_000_000);
    assert_eq!(world.who(from("192.0.2.1", &good)).await.as_deref(), Ok("acme"));
}

#[tokio::test]
async fn s5_an_ipv6_source_is_its_64() {
    let world = World::with(COUNTED, Settings::default());
    for host in 0..5 {
        assert_eq!(world.who(from(&format!("2001:db8::{host}"), "garbage")).await, Err(Reason::InvalidToken));
    }
    assert_eq!(world.who(from("2001:db8::abcd", "garbage")).await, Err(Reason::TooManyFailures));
    assert_eq!(world.who(from("2001:db8:0:1::1", "garbage")).await, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn s5_a_name_that_is_failed_at_too_often_refuses_only_those_that_fail() {
    for name in ["acme", "nobody"] {
        let world = World::with(COUNTED, Settings::default());
        let failing = |source: String| {
            let world = &world;
            async move { world.who(Ask { token: Some("garbage"), name: Some(name), source: Some(&source), ..Ask::default() }).await }
        };
        for source in 0..8 {
            assert_eq!(failing(format!("192.0.2.{source}")).await, Err(Reason::InvalidToken), "{name}");
        }
        assert_eq!(failing("192.0.2.100".to_owned()).await, Err(Reason::TooManyFailures), "{name}, existing or not");
    }
    let world = World::with(COUNTED, Settings::default());
    for source in 0..20 {
        let _ = world.who(from(&format!("192.0.2.{source}"), "garbage")).await;
    }
    let good = token_of(ACME);
    assert_eq!(world.who(from("198.51.100.1", &good)).await.as_deref(), Ok("acme"), "whoever verifies is never refused by this count");
    assert_eq!(world.key(ACME_KEY, Some("acme")).await.as_deref(), Ok("acme"));
    let elsewhere = Ask { token: Some("garbage"), name: Some("globex"), ..Ask::default() };
    assert_eq!(world.who(elsewhere).await, Err(Reason::InvalidToken), "another name has its own count");
}

#[tokio::test]
async fn s5_wrong_api_keys_and_foreign_tokens_count_as_failures() {
    let world = World::with(COUNTED, Settings::default());
    let foreign = token_of(GLOBEX);
    for ask in [
        Ask { key: Some("acme.guess"), ..Ask::default() },
        Ask { token: Some(&foreign), name: Some("acme"), ..Ask::default() },
        Ask { token: Some(&foreign), key: Some(ACME_KEY), ..Ask::default() },
        Ask { key: Some("a,b"), ..Ask::default() },
        Ask { token: Some("x.y.z"), ..Ask::default() },
    ] {
        assert!(matches!(world.who(Ask { source: Some("192.0.2.9"), ..ask }).await, Err(Reason::InvalidToken | Reason::WrongTenant)));
    }
    assert_eq!(world.who(from("192.0.2.9", &foreign)).await, Err(Reason::TooManyFailures));
}

#[tokio::test]
async fn s5_what_could_not_be_checked_is_no_failure() {
    let world = World::with(COUNTED, Settings::default());
    world.provider.set(ACME, Answer::Down);
    let token = token_of(ACME);
    for _ in 0..20 {
        assert_eq!(world.who(from("192.0.2.1", &token)).await, Err(Reason::Unavailable));
    }
    world.provider.set(ACME, Answer::Keys(vec![signer(ACME).jwk("k")]));
    world.clock.advance_us(60_000_000);
    assert_eq!(world.who(from("192.0.2.1", &token)).await.as_deref(), Ok("acme"));
}

#[tokio::test]
async fn s5_a_source_of_many_tokens_that_nobody_can_check_waits_no_more_and_takes_nobody_elses_place() {
    let caps = Caps { waiting: 4, ..Caps::default() };
    let world = Arc::new(World::with(COUNTED, Settings { caps, ..Settings::default() }));
    world.provider.set(ACME, Answer::Down);
    for number in 0..5 {
        let token = token_with(ACME, json!({"jti": number}));
        assert_eq!(world.who(from("192.0.2.1", &token)).await, Err(Reason::Unavailable));
    }
    // The provider hangs: whoever asks waits.
    world.provider.set(ACME, Answer::Late(vec![signer(ACME).jwk("k")]));
    world.clock.advance_us(1_000_000);
    for number in 5..25 {
        let token = token_with(ACME, json!({"jti": number}));
        assert_eq!(world.who(from("192.0.2.1", &token)).await, Err(Reason::Unavailable), "it does not wait");
    }
    let waits = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.who(from("192.0.2.2", &token_of(ACME))).await }
    });
    let compartment = world.identity.compartments.of(&world.snapshot.tenant("acme").unwrap().uid);
    until("the other source waits", || compartment.bounds.waiting.available_permits() == 3).await;
    let elsewhere = token_of(GLOBEX);
    let elsewhere = Ask { token: Some(&elsewhere), source: Some("192.0.2.1"), ..Ask::default() };
    assert_eq!(world.who(elsewhere).await.as_deref(), Ok("globex"), "another tenant's tokens wait for their keys as ever");
    world.provider.gate.add_permits(1);
    assert_eq!(waits.await.unwrap().as_deref(), Ok("acme"));
    let fresh = token_with(ACME, json!({"jti": 25}));
    assert_eq!(world.who(from("192.0.2.1", &fresh)).await.as_deref(), Ok("acme"), "the keys are at hand");

    // The key changes, under its old name: that is found out for whoever does not wait, too, and is no failure meanwhile.
    world.clock.advance_us(3_000_000);
    let new = Signer::ed25519();
    world.provider.set(ACME, Answer::Late(vec![new.jwk("k")]));
    let rotated = new.token("k", &claims(ACME));
    assert_eq!(world.who(from("192.0.2.1", &rotated)).await, Err(Reason::Unavailable), "no 401: the new key is on its way");
    world.provider.gate.add_permits(1);
    let fetched = || compartment.bounds.fetching.available_permits() == caps.fetching && compartment.bounds.first.available_permits() == 1;
    until("the new key is there", fetched).await;
    assert_eq!(world.who(from("192.0.2.1", &rotated)).await.as_deref(), Ok("acme"));
}

#[tokio::test]
async fn s5_strangers_share_one_bucket_and_drown_nobody_elses_answer() {
    let written = Written { platform: "unresolved: { requestsPerMinute: 4 }", ..PLAIN };
    let world = World::with(written, Settings::default());
    assert_eq!(world.who(Ask::default()).await, Err(Reason::NoCredentials));
    for _ in 0..3 {
        assert_eq!(world.token("garbage", None).await, Err(Reason::InvalidToken));
    }
    assert_eq!(world.token("garbage", None).await, Err(Reason::TooManyFailures));
    assert_eq!(world.who(Ask::default()).await, Err(Reason::TooManyFailures));
    // What an issuer signed is answered as ever: a client learns that its token is expired.
    assert_eq!(world.token(&token_of(ACME), Some("acme")).await.as_deref(), Ok("acme"));
    assert_eq!(world.token(&token_with(ACME, json!({"exp": NOW_S - 100})), Some("acme")).await, Err(Reason::InvalidToken));
    assert_eq!(world.token(&token_of(GLOBEX), Some("acme")).await, Err(Reason::WrongTenant));
}

#[tokio::test]
async fn s5_first_sights_of_one_tenant_are_capped_for_that_tenant_alone() {
    let caps = Caps { first_sights: 1, ..Caps::default() };
    let world = World::with(PLAIN, Settings { caps, ..Settings::default() });
    let known = token_of(ACME);
    assert!(world.token(&known, None).await.is_ok());
    // Somebody's verification takes acme's only place.
    let place = world.identity.verifications.idle(&world.snapshot.tenant("acme").unwrap().uid);
    let fresh = token_with(ACME, json!({"jti": 1}));
    assert_eq!(world.token(&fresh, Some("acme")).await, Err(Reason::Unavailable));
    assert_eq!(world.token(&fresh, Some("globex")).await, Err(Reason::InvalidToken), "a foreign address learns nothing of it");
    assert!(world.token(&known, None).await.is_ok(), "what was seen before needs no place");
    assert!(world.token(&token_of(GLOBEX), None).await.is_ok());
    drop(place);
    assert!(world.token(&fresh, Some("acme")).await.is_ok());
}

#[tokio::test]
async fn s5_a_tenant_that_spent_its_time_of_the_io_threads_waits_for_places_and_no_other_does() {
    let world = World::with(PLAIN, Settings { caps: Caps { first_sights: 1, ..Caps::default() }, ..Settings::default() });
    let uid = |name: &str| world.snapshot.tenant(name).unwrap().uid.clone();
    let places = [world.identity.verifications.idle(&uid("acme")), world.identity.verifications.idle(&uid("globex"))];
    let ask = |token: String, name| {
        let world = &world;
        async move { world.who(Ask { token: Some(&token), name: Some(name), source: Some("192.0.2.7"), ..Ask::default() }).await }
    };
    world.identity.verifications.exhaust(&uid("acme"));
    assert_eq!(ask(token_of(ACME), "acme").await, Err(Reason::Unavailable));
    assert_eq!(ask(token_of(GLOBEX), "globex").await.as_deref(), Ok("globex"));
    // All together have spent it.
    world.identity.at_once().pay(Duration::from_secs(3600), std::time::Instant::now());
    assert_eq!(ask(token_with(GLOBEX, json!({"jti": 1})), "globex").await, Err(Reason::Unavailable));
    drop(places);
    assert_eq!(ask(token_of(ACME), "acme").await.as_deref(), Ok("acme"));
}

#[tokio::test]
async fn s5_what_a_source_brings_that_failed_lately_takes_no_time_of_the_io_threads() {
    let world = World::with(PLAIN, Settings { caps: Caps { first_sights: 1, ..Caps::default() }, ..Settings::default() });
    let forged = signer(GLOBEX).token("k", &claims(ACME));
    let (suspect, other) = (Some("192.0.2.66"), Some("192.0.2.7"));
    assert!(world.ask(Ask { token: Some(&forged), source: suspect, ..Ask::default() }).await.is_err());
    let _place = world.identity.verifications.idle(&world.snapshot.tenant("acme").unwrap().uid);
    let fresh = token_of(ACME);
    let ask = |source| world.ask(Ask { token: Some(&fresh), source, name: Some("acme"), ..Ask::default() });
    assert_eq!(ask(suspect).await.err().map(|refused| refused.denial.reason), Some(Reason::Unavailable));
    assert!(ask(other).await.is_ok());
}

#[tokio::test]
async fn s18_a_dead_provider_of_one_tenant_keeps_no_other_waiting() {
    let caps = Caps { waiting: 4, fetching: 1, ..Caps::default() };
    let world = Arc::new(World::with(PLAIN, Settings { caps, fetches: 2, ..Settings::default() }));
    world.provider.set(ACME, Answer::Late(vec![signer(ACME).jwk("k")]));
    let waiting: Vec<_> = (0..4)
        .map(|number| {
            tokio::spawn({
                let world = Arc::clone(&world);
                async move { world.token(&token_with(ACME, json!({"jti": number})), None).await }
            })
        })
        .collect();
    let compartment = world.identity.compartments.of(&world.snapshot.tenant("acme").unwrap().uid);
    until("acme's requests wait", || compartment.bounds.waiting.available_permits() == 0).await;
    assert_eq!(world.token(&token_of(ACME), None).await, Err(Reason::Unavailable), "acme's own places are taken");
    for number in 0..20 {
        assert!(world.token(&token_with(GLOBEX, json!({"jti": number})), None).await.is_ok());
    }
    assert!(waiting.iter().all(|one| !one.is_finished()), "acme's provider has not answered all that time");
    world.provider.gate.add_permits(1);
    for one in waiting {
        assert!(one.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn what_is_gone_from_the_snapshot_is_swept_away() {
    let world = World::new();
    assert!(world.token(&token_of(ACME), None).await.is_ok());
    let before = world.identity.compartments.of(&"uid-acme".parse().unwrap());
    world.identity.compartments.drop_all_but(&snapshot(Written { uid: "uid-acme-2", ..PLAIN }));
    let after = world.identity.compartments.of(&"uid-acme".parse().unwrap());
    assert!(!Arc::ptr_eq(&before, &after));
}

#[tokio::test]
async fn s5_hundreds_of_first_tokens_before_the_keys_are_there_are_all_served() {
    let world = Arc::new(World::new());
    world.provider.set(ACME, Answer::Late(vec![signer(ACME).jwk("k")]));
    let waiting: Vec<_> = (0..400)
        .map(|number| {
            tokio::spawn({
                let world = Arc::clone(&world);
                async move { world.token(&token_with(ACME, json!({"jti": number})), None).await }
            })
        })
        .collect();
    let acme = &world.snapshot.tenant("acme").unwrap().uid;
    let compartment = world.identity.compartments.of(acme);
    let caps = Caps::default();
    until("they wait", || compartment.bounds.waiting.available_permits() == caps.waiting - 400).await;
    assert_eq!(world.identity.verifications.room_of(acme), caps.first_sights, "who waits for keys takes no place of who is verified");
    world.provider.gate.add_permits(1);
    for one in waiting {
        assert_eq!(one.await.unwrap().as_deref(), Ok("acme"));
    }
    assert_eq!(world.provider.asked(), 1);
}

#[tokio::test]
async fn s5_a_token_that_comes_a_hundred_times_at_once_is_verified_once() {
    // One place alone: whoever verified for himself would be refused it.
    let caps = Caps { first_sights: 1, ..Caps::default() };
    let world = World::with(PLAIN, Settings { caps, ..Settings::default() });
    let token = token_of(ACME);
    let served = futures::future::join_all((0..100).map(|_| world.token(&token, None))).await;
    assert!(served.iter().all(Result::is_ok), "{served:?}");
    let forged = signer(GLOBEX).token("k", &claims(ACME));
    let refused = futures::future::join_all((0..100).map(|_| world.token(&forged, None))).await;
    assert!(refused.iter().all(|one| *one == Err(Reason::InvalidToken)), "{refused:?}");
    let compartment = world.identity.compartments.of(&world.snapshot.tenant("acme").unwrap().uid);
    assert_eq!(compartment.flights.len(), 0);
}

#[tokio::test]
async fn s18_a_new_key_is_looked_for_though_a_suspect_brings_the_same_token_at_the_same_moment() {
    let world = World::new();
    let ask = |token: &str, source: &'static str| {
        let token = token.to_owned();
        let world = &world;
        async move { world.ask(Ask { token: Some(&token), source: Some(source), ..Ask::default() }).await.map(|_| ()) }
    };
    let (suspect, other) = ("192.0.2.66", "192.0.2.7");
    assert!(ask(&signer(GLOBEX).token("k", &claims(ACME)), suspect).await.is_err());
    world.clock.advance_us(2_000_000);
    // Under the old `kid`, so that both are busy verifying before either looks for newer keys.
    let new = Signer::ed25519();
    world.provider.set(ACME, Answer::Keys(vec![new.jwk("k")]));
    let token = new.token("k", &claims(ACME));
    let (_, served) = tokio::join!(ask(&token, suspect), ask(&token, other));
    assert!(served.is_ok(), "{:?}", served.err());
}

#[tokio::test]
async fn s5_forged_signatures_count_as_failures_also_of_a_source_that_waits_no_more() {
    let world = World::with(COUNTED, Settings::default());
    let honest = token_of(ACME);
    assert_eq!(world.who(from("192.0.2.7", &honest)).await.as_deref(), Ok("acme"), "the keys are at hand");
    world.provider.set(ACME, Answer::Down);
    world.clock.advance_us(3_000_000);
    let new = Signer::ed25519();
    for number in 0..6 {
        let unknown = new.token("another", &with(claims(ACME), json!({"jti": number})));
        assert_eq!(world.who(from("192.0.2.1", &unknown)).await, Err(Reason::Unavailable), "nobody can check it");
    }
    let mut answers = std::collections::BTreeMap::<String, usize>::new();
    for number in 0..600 {
        let forged = new.token("k", &with(claims(ACME), json!({"jti": number})));
        *answers.entry(format!("{:?}", world.who(from("192.0.2.1", &forged)).await)).or_default() += 1;
        world.clock.advance_us(50_000);
    }
    assert!(answers.keys().any(|answer| answer.contains("TooManyFailures")), "a forger is refused before anything is spent: {answers:?}");
}
