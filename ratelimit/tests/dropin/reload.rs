//! Rules that change while it runs, and rules that are wrong.

use std::os::unix::fs::symlink;

use bulkhead_tests::deadline::{self, PATIENCE};

use crate::{
    case::{call, told},
    standing_in::StandIn,
};

const LOADED: &str = "ratelimit.service.config_load_success";
const FAILED: &str = "ratelimit.service.config_load_error";

fn rules(limit: u32) -> String {
    format!("domain: d\ndescriptors: [{{ key: k, rate_limit: {{ unit: year, requests_per_unit: {limit} }} }}]\n")
}

/// Waits until `/rlconfig` shows a limit.
async fn until_limit(service: &StandIn, limit: u32) {
    let line = format!("d.k: unit=YEAR requests_per_unit={limit}, ");
    deadline::until(&line, PATIENCE, || async { service.rlconfig().await.contains(&line).then_some(()) }).await;
}

#[tokio::test]
async fn a_changed_file_decides_and_what_was_counted_stays() {
    let service = StandIn::in_memory(&[], &rules(5)).await;
    assert_eq!(told(&service.ask(call("d: k=a")).await.unwrap()), "ok ok4");
    service.write("rules.yaml", &rules(9));
    until_limit(&service, 9).await;
    assert_eq!(told(&service.ask(call("d: k=a")).await.unwrap()), "ok ok7");
}

#[tokio::test]
async fn a_symlink_swap_is_a_change() {
    let service = StandIn::start_with(&[], &[], &["--store", "memory"]).await;
    // As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is swapped for another by a rename.
    let config = service.root().join("ratelimit/config");
    for (version, limit) in [("..one", 3), ("..two", 4)] {
        std::fs::create_dir(config.join(version)).unwrap();
        std::fs::write(config.join(version).join("d.yaml"), rules(limit)).unwrap();
    }
    symlink("..one", config.join("..data")).unwrap();
    symlink("..data/d.yaml", config.join("d.yaml")).unwrap();
    until_limit(&service, 3).await;
    symlink("..two", config.join("..data_tmp")).unwrap();
    std::fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
    until_limit(&service, 4).await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_rules_before_it() {
    let service = StandIn::in_memory(&[], &rules(5)).await;
    let loaded = service.stat(LOADED).await;
    service.write("rules.yaml", "domain: d\ndescriptors: [{ key: k, rate_limit: { unit: fortnight, requests_per_unit: 1 } }]\n");
    service.until_stat(FAILED, 1).await;
    assert_eq!(told(&service.ask(call("d: k=a")).await.unwrap()), "ok ok4");
    assert_eq!(service.stat(LOADED).await, loaded);
    service.write("rules.yaml", &rules(6));
    until_limit(&service, 6).await;
}

#[tokio::test]
async fn a_first_load_that_fails_is_told_at_every_call() {
    let service = StandIn::in_memory(&[], "domain: d\nnonsense: true\n").await;
    service.until_stat(FAILED, 1).await;
    let status = service.ask(call("d: k=a")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::Unknown, "no rate limit configuration loaded"));
    assert_eq!(service.rlconfig().await, "");
    service.write("rules.yaml", &rules(5));
    until_limit(&service, 5).await;
    assert_eq!(told(&service.ask(call("d: k=a")).await.unwrap()), "ok ok4");
}
