//! Each kind of address decides: unix socket, database, users, TLS with client certificates, Sentinel, Cluster.

use std::fs;

use bulkhead_ratelimit::{
    limiter::{Fallback, Ruling},
    outcome::Verdict,
    store::redis::{dial::TlsFiles, settings::StoreSettings},
};
use bulkhead_tenancy::tenant::StoreFailure;
use bulkhead_tests::valkey::{Valkey, tls::TlsServer};

use crate::load::{charge, limiter, once, open, settings};

/// Admits exactly as much as the limit holds.
async fn decides(settings: &StoreSettings) {
    let (limiter, ready) = open(settings).await;
    assert!(ready, "the store cannot be used");
    let charge = charge("acme", once(3));
    let mut verdicts = Vec::new();
    for _ in 0..4 {
        match limiter.decide(&charge, Fallback { mode: StoreFailure::Closed, replicas: 1 }, None).await {
            Ruling::Exact(outcome) => verdicts.push(outcome.verdict()),
            other => panic!("the store did not decide: {other:?}"),
        }
    }
    assert_eq!(verdicts, [Verdict::Admitted, Verdict::Admitted, Verdict::Admitted, Verdict::Denied]);
}

/// Is not used; `args::open` waits for it in vain.
async fn is_refused(settings: &StoreSettings) {
    let store = settings.open().expect("settings that fit");
    assert!(!store.ready(std::time::Duration::from_millis(700)).await, "a store that must not be used is used");
}

#[tokio::test]
async fn a_unix_socket_and_a_database() {
    let valkey = Valkey::start().await;
    decides(&settings(&format!("{}?db=3", valkey.unix_url()))).await;
    decides(&settings(&format!("{}/4", valkey.url()))).await;
    let keyspace: String = valkey.ask(&["INFO", "keyspace"]).await;
    let databases: Vec<&str> = keyspace.lines().filter_map(|line| line.split_once(":keys=").map(|(database, _)| database)).collect();
    assert_eq!(databases, ["db3", "db4"], "{keyspace}");
}

#[tokio::test]
async fn a_user_that_may_do_no_more_than_we_need() {
    let valkey = Valkey::start().await;
    let may = [
        "+evalsha",
        "+script|load",
        "+time",
        "+hmget",
        "+hset",
        "+hdel",
        "+hincrby",
        "+hscan",
        "+hrandfield",
        "+pexpire",
        "+select",
        "+client|setinfo",
    ];
    let rule: Vec<&str> = [&["ACL", "SETUSER", "limiter", "on", ">p@ss/word", "~bulkhead:*"][..], &may].concat();
    let _: () = valkey.ask(&rule).await;
    let _: () = valkey.ask(&["CONFIG", "SET", "requirepass", "another"]).await;
    let host = valkey.address();
    decides(&settings(&format!("redis://limiter:p%40ss%2Fword@{host}"))).await;
    is_refused(&settings(&format!("redis://limiter:wrong@{host}"))).await;
    is_refused(&settings(&format!("redis://{host}"))).await;
    let mut files = settings(&format!("redis://nobody:wrong@{host}"));
    files.address.login.user = Some("limiter".to_owned());
    files.address.login.password = Some("p@ss/word".to_owned().into());
    assert!(files.open().expect("settings").ready(std::time::Duration::from_secs(20)).await);
}

#[tokio::test]
async fn tls_with_a_client_certificate() {
    let redis = TlsServer::start(&["--requirepass", "hunter2"]).await;
    let read = |name: &str| fs::read(redis.file(name)).expect("a file");
    let url = redis.url().replace("rediss://", "rediss://:hunter2@");
    let with = |identity: Option<&str>, ca: &str| {
        let identity = identity.map(|name| (read(&format!("{name}.pem")), read(&format!("{name}.key"))));
        StoreSettings { tls: Some(TlsFiles { ca: Some(read(ca)), identity, any_name: false }), ..settings(&url) }
    };
    decides(&with(Some("client"), "ca.pem")).await;
    is_refused(&with(None, "ca.pem")).await;
    is_refused(&with(Some("stranger"), "ca.pem")).await;
    is_refused(&with(Some("client"), "stranger.pem")).await;
    // Its certificate says localhost, and no other name of the same server.
    let other =
        StoreSettings { address: url.replace("localhost", "127.0.0.1").parse().expect("an address"), ..with(Some("client"), "ca.pem") };
    is_refused(&other).await;
    // Where that is asked for its name does not matter; its authority still does. Another database: this limit is used up in the first.
    let any_name = |ca: &str| {
        let mut settings =
            StoreSettings { tls: with(Some("client"), ca).tls.map(|files| TlsFiles { any_name: true, ..files }), ..other.clone() };
        settings.address.database = 1;
        settings
    };
    decides(&any_name("ca.pem")).await;
    is_refused(&any_name("stranger.pem")).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_yet_is_used_once_it_is() {
    let mut valkey = Valkey::start().await;
    valkey.kill();
    let store = settings(&valkey.url()).open().expect("settings that fit");
    assert!(!store.ready(std::time::Duration::from_millis(100)).await);
    valkey.restart().await;
    assert!(store.ready(std::time::Duration::from_secs(20)).await);
    let _ = limiter(&valkey.url()).await;
}
