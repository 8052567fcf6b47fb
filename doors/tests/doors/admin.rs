//! The admin door answers the bearer of the token, and nobody else.

use std::{
    fs,
    process::Command,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bulkhead_doors::fatal::Fatal;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::house::{House, fetch, refused, until};

const TOKEN: &str = "correct-horse-battery-staple";

async fn status(request: reqwest::RequestBuilder) -> u16 {
    fetch(request).await.unwrap().0
}

#[tokio::test]
async fn s2_without_a_token_file_everything_is_401() {
    let house = House::open(&[]).await;
    for path in ["/snapshot", "/explain", "/", "/nothing"] {
        assert_eq!(status(house.admin(path)).await, 401, "{path}");
        assert_eq!(status(house.admin(path).bearer_auth("")).await, 401, "{path}");
        assert_eq!(status(house.admin(path).bearer_auth(TOKEN)).await, 401, "{path}");
    }
}

#[tokio::test]
async fn s2_only_the_bearer_of_the_token_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let house = House::open(&["--admin-token-file", file.to_str().unwrap()]).await;

    for path in ["/snapshot", "/explain", "/nothing"] {
        let refused = [
            house.admin(path),
            house.admin(path).bearer_auth(""),
            house.admin(path).bearer_auth("correct-horse-battery-stapl"),
            house.admin(path).bearer_auth("correct-horse-battery-staples"),
            house.admin(path).bearer_auth("Correct-horse-battery-staple"),
            house.admin(path).basic_auth("admin", Some(TOKEN)),
            house.admin(path).header("authorization", TOKEN),
            house.admin(path).header("x-api-key", TOKEN),
            house.admin(path).bearer_auth(TOKEN).header("authorization", "Bearer other"),
            house.admin(&format!("{path}?token={TOKEN}")),
        ];
        for request in refused {
            assert_eq!(status(request).await, 401, "{path}");
        }
    }
    assert_eq!(status(house.admin("/nothing").bearer_auth(TOKEN)).await, 404);
    assert_eq!(fetch(house.admin("/explain").bearer_auth(TOKEN)).await.unwrap(), (200, "\"explained\"".to_owned()));
    let (status, body) = fetch(house.admin("/snapshot").bearer_auth(TOKEN)).await.unwrap();
    assert_eq!((status, body.as_str()), (200, r#"{"generation":7,"tenants":[{"tenant":"acme","state":"ready","age_seconds":3}]}"#));
}

#[tokio::test]
async fn s2_a_rotated_token_holds_at_once_and_a_bad_file_admits_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let house = House::open(&["--admin-token-file", file.to_str().unwrap()]).await;
    let ask = async |token: &str| status(house.admin("/snapshot").bearer_auth(token)).await;
    assert_eq!(ask(TOKEN).await, 200);

    let next = folder.path().join("next");
    fs::write(&next, "another-token").unwrap();
    fs::rename(&next, &file).unwrap();
    assert_eq!((ask("another-token").await, ask(TOKEN).await), (200, 401));

    fs::write(&file, " \n").unwrap();
    assert_eq!((ask("another-token").await, ask("").await), (401, 401), "empty");
    fs::remove_file(&file).unwrap();
    assert_eq!((ask("another-token").await, ask("").await), (401, 401), "gone");
    fs::write(&file, TOKEN).unwrap();
    until("the token is back", async || ask(TOKEN).await == 200).await;
}

#[tokio::test]
async fn a_token_file_that_does_not_do_refuses_to_start_and_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("blank"), " \n\t").unwrap();
    fs::write(path("two"), "secret-one\nsecret-two").unwrap();
    fs::write(path("large"), "secret".repeat(1000)).unwrap();
    fs::write(path("binary"), [0xff, 0xfe]).unwrap();
    fs::create_dir(path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    for name in ["missing", "empty", "blank", "two", "large", "binary", "folder", "pipe"] {
        let fatal = refused(&["--admin-token-file", &path(name)]).await;
        let names_it = |text: &str| text.contains("--admin-token-file") && text.contains(name) && !text.contains("secret");
        assert!(matches!(&fatal, Fatal::Usage(text) if names_it(text)), "{name}: {fatal}");
    }
}

#[tokio::test]
async fn a_token_behind_a_link_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), TOKEN).unwrap();
    let link = folder.path().join("token");
    std::os::unix::fs::symlink("data", &link).unwrap();
    let house = House::open(&["--admin-token-file", link.to_str().unwrap()]).await;
    assert_eq!(status(house.admin("/snapshot").bearer_auth(TOKEN)).await, 200);
}

fn line(who: &str, token: &str) -> String {
    format!("{who}: sha256:{}\n", hex::encode(Sha256::digest(token)))
}

#[tokio::test]
async fn s22_a_tenants_token_reaches_what_is_for_tenants_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (operator, tenants) = (folder.path().join("token"), folder.path().join("tenants"));
    fs::write(&operator, TOKEN).unwrap();
    fs::write(&tenants, line("acme", "acme-token") + &line("globex@u-1", "globex-token")).unwrap();
    let flags = ["--admin-token-file", operator.to_str().unwrap(), "--admin-tenant-tokens", tenants.to_str().unwrap()];
    let house = House::open(&flags).await;
    let whoami = async |token: &str| fetch(house.admin("/whoami").bearer_auth(token)).await.unwrap();
    assert_eq!(whoami(TOKEN).await, (200, "operator".to_owned()));
    assert_eq!(whoami("acme-token").await, (200, "tenant acme".to_owned()));
    assert_eq!(whoami("globex-token").await, (200, "tenant globex".to_owned()));
    assert_eq!(whoami("other-token").await.0, 401);
    let nothing = fetch(house.admin("/nothing").bearer_auth("acme-token")).await.unwrap();
    for path in ["/snapshot", "/explain"] {
        assert_eq!(fetch(house.admin(path).bearer_auth("acme-token")).await.unwrap(), nothing, "{path}");
    }
    assert_eq!(nothing, (404, String::new()));

    let next = folder.path().join("next");
    fs::write(&next, line("acme", "acme-rotated")).unwrap();
    fs::rename(&next, &tenants).unwrap();
    assert_eq!((whoami("acme-rotated").await.0, whoami("acme-token").await.0, whoami("globex-token").await.0), (200, 401, 401));
    fs::write(&tenants, "acme: sha256:nonsense").unwrap();
    assert_eq!((whoami("acme-rotated").await.0, whoami(TOKEN).await.0), (401, 200), "a bad file admits no tenant");
}

#[tokio::test]
async fn tenants_tokens_that_do_not_do_refuse_to_start_and_are_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tenants");
    for text in ["acme: sha256:5ec3e7", "acme=5ec3e7", "5ec3e7: x"] {
        fs::write(&file, text).unwrap();
        let fatal = refused(&["--admin-tenant-tokens", file.to_str().unwrap()]).await;
        let names_it = |text: &str| text.contains("--admin-tenant-tokens") && text.contains("line 1") && !text.contains("5ec3e7");
        assert!(matches!(&fatal, Fatal::Usage(text) if names_it(text)), "{text}: {fatal}");
    }
}

#[tokio::test]
async fn s2_a_page_in_a_browser_is_not_answered_even_with_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let house = House::open(&["--admin-token-file", file.to_str().unwrap()]).await;
    for (name, value) in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.test"),
        ("host", "localhost.evil.test:9083"),
    ] {
        let request = house.admin("/snapshot").bearer_auth(TOKEN).header(name, value);
        assert_eq!(status(request).await, 403, "{name}: {value}");
    }
    assert_eq!(status(house.admin("/snapshot").bearer_auth(TOKEN).header("host", "localhost:1234")).await, 200);
}

#[tokio::test]
async fn s12_a_tenants_requests_are_served_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (operators, tenants) = (dir.path().join("token"), dir.path().join("tenants"));
    fs::write(&operators, TOKEN).unwrap();
    fs::write(&tenants, line("acme", "acme-token") + &line("globex", "globex-token")).unwrap();
    let house = House::open(&["--admin-token-file", operators.to_str().unwrap(), "--admin-tenant-tokens", tenants.to_str().unwrap()]).await;

    let mut asked: JoinSet<u16> = (0..20).map(|_| status(house.admin("/held").bearer_auth("acme-token"))).collect();
    for _ in 0..12 {
        assert_eq!(asked.join_next().await.unwrap().unwrap(), 429, "one is served and seven wait");
    }
    assert_eq!(status(house.admin("/whoami").bearer_auth("acme-token")).await, 429);
    assert_eq!(status(house.admin("/whoami").bearer_auth("globex-token")).await, 200, "no other tenant waits");
    assert_eq!(status(house.admin("/whoami").bearer_auth(TOKEN)).await, 200, "nor does the operator");

    for _ in 0..8 {
        assert!(asked.try_join_next().is_none());
        house.gate.add_permits(1);
        assert_eq!(asked.join_next().await.unwrap().unwrap(), 200);
    }
    assert_eq!(status(house.admin("/whoami").bearer_auth("acme-token")).await, 200, "who left makes room");
}

#[tokio::test]
async fn s12_whoever_hangs_up_keeps_the_turn_until_what_was_begun_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let tenants = dir.path().join("tenants");
    fs::write(&tenants, line("acme", "acme-token")).unwrap();
    let house = House::open(&["--admin-tenant-tokens", tenants.to_str().unwrap()]).await;
    let first = tokio::spawn(house.admin("/held").bearer_auth("acme-token").send());
    let began = Instant::now();
    while house.held.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody came");
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    // What it began goes on: seven wait behind it, and one is too many.
    let mut asked: JoinSet<u16> = (0..8).map(|_| status(house.admin("/held").bearer_auth("acme-token"))).collect();
    let refused = tokio::time::timeout(Duration::from_secs(20), asked.join_next()).await.expect("the turn was freed by the hang-up");
    assert_eq!((refused.unwrap().unwrap(), house.held.load(Ordering::SeqCst)), (429, 1));
    house.gate.add_permits(8);
    assert!(asked.join_all().await.into_iter().all(|status| status == 200));
}
