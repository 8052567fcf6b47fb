//! The bill: what was answered is what was metered, to the request.

use bulkhead_ratelimit::store::Store as _;
use std::collections::BTreeMap;

use bulkhead_tenancy::clock::ManualClock;
use proptest::prelude::Rng;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::{
    stage::{NOW_US, Stage, descriptor, told},
    support::valkey::Server,
};

const HOUR_US: u64 = 3_600_000_000;

/// Tenant, subscription, API, hour.
type Line = (String, Option<String>, Option<String>, String);

fn bill(answer: &Value, into: &mut BTreeMap<Line, (u64, u64)>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for line in answer["lines"].as_array().unwrap() {
        let key = (text(&line["tenant"]).unwrap(), text(&line["subscription"]), text(&line["api"]), text(&line["hour"]).unwrap());
        let counted = (line["admitted"].as_u64().unwrap(), line["denied"].as_u64().unwrap());
        assert_eq!(into.insert(key, counted), None, "a line comes once");
    }
}

/// Hours are the store's: with the process's own clock, a bill would be empty, or refused as too old.
#[tokio::test]
async fn a_process_whose_clock_is_wrong_tells_the_bill_all_the_same() {
    let stage = Stage::memory().await;
    assert!(stage.ask(descriptor("acme", "s-01", "billing-api", 1)).await.unwrap());
    let right = stage.see("/metering").await;
    assert_eq!(right["lines"].as_array().unwrap().len(), 1);
    for days in [-400, 400] {
        stage.process.set_us(NOW_US.saturating_add_signed(days * 24 * HOUR_US.cast_signed()));
        assert_eq!(stage.see("/metering").await, right, "{days} days");
    }
}

/// Random traffic over an hour's end: whatever was answered is on the bill, and nothing else.
async fn every_answer_is_on_the_bill(stage: &Stage) {
    let mut random = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(Default::default()));
    let mut random = random.new_rng();
    let mut expected: BTreeMap<Line, (u64, u64)> = BTreeMap::new();
    stage.clock.set_us(NOW_US - 60_000_000 + HOUR_US - 30_000_000);
    for turn in 0..600_u64 {
        stage.clock.advance_us(100_000);
        let mut pick = |of: u64| random.next_u64() % of;
        let tenant = ["acme", "globex", "nobody"][usize::try_from(pick(3)).unwrap()];
        let subscription = ["s-01", "s-02", "s-99", "__none__"][usize::try_from(pick(4)).unwrap()];
        let api = ["billing-api", "orders-api", "__none__"][usize::try_from(pick(3)).unwrap()];
        let cost = [0, 1, 1, 2, 5][usize::try_from(pick(5)).unwrap()];
        let admitted = stage.ask(descriptor(tenant, subscription, api, cost)).await.unwrap();
        if cost == 0 {
            continue;
        }
        let known = |name: &str, names: &[&str]| (tenant != "nobody" && names.contains(&name)).then(|| name.to_owned());
        let (subscriptions, apis): (&[&str], &[&str]) =
            if tenant == "acme" { (&["s-01", "s-02"], &["billing-api", "orders-api"]) } else { (&[], &["billing-api"]) };
        let hour = if turn < 299 { "2026-11-22T05:00:00Z" } else { "2026-11-22T06:00:00Z" };
        let name = if tenant == "nobody" { "unresolved" } else { tenant };
        let line = expected.entry((name.to_owned(), known(subscription, subscriptions), known(api, apis), hour.to_owned())).or_default();
        if admitted { line.0 += cost } else { line.1 += cost }
    }
    assert!(expected.values().any(|counted| counted.0 > 0) && expected.values().any(|counted| counted.1 > 0));
    assert!(expected.keys().any(|line| line.3.contains("T05")) && expected.keys().any(|line| line.3.contains("T06")));

    let span = "from=2026-11-22T05:00:00Z&to=2026-11-22T07:00:00Z";
    let mut metered = BTreeMap::new();
    bill(&stage.see(&format!("/metering?{span}")).await, &mut metered);
    assert_eq!(metered, expected);
    // Page by page, each tenant alone, and each hour alone, it is the same bill.
    let (mut paged, mut next) = (BTreeMap::new(), Some(format!("/metering?{span}&limit=1")));
    while let Some(path) = next {
        let page = stage.see(&path).await;
        bill(&page, &mut paged);
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(paged, expected);
    let mut apart = BTreeMap::new();
    for tenant in ["acme", "globex", "unresolved"] {
        for span in ["from=2026-11-22T05:00:00Z&to=2026-11-22T06:00:00Z", "from=2026-11-22T06:00:00Z&to=2026-11-22T07:00:00Z"] {
            bill(&stage.see(&format!("/metering?tenant={tenant}&{span}")).await, &mut apart);
        }
    }
    assert_eq!(apart, expected);
}

#[tokio::test]
async fn every_answer_is_on_the_bill_of_the_memory_store() {
    every_answer_is_on_the_bill(&Stage::memory().await).await;
}

#[tokio::test]
async fn every_answer_is_on_the_bill_of_the_real_store() {
    let server = Server::get();
    every_answer_is_on_the_bill(&Stage::over(Box::new(server.store().await), ManualClock::at_us(NOW_US)).await).await;
}

#[tokio::test]
async fn what_was_refused_or_only_looked_is_on_no_bill() {
    let stage = Stage::memory().await;
    assert!(stage.ask(descriptor("acme", "s-01", "billing-api", 0)).await.unwrap());
    let mut negative = descriptor("acme", "s-01", "billing-api", 1);
    negative.is_negative_hits = true;
    assert!(stage.ask(negative).await.is_err());
    assert_eq!(stage.see("/metering").await["lines"], json!([]));
}

#[tokio::test]
async fn a_bill_of_many_lines_is_read_in_parts() {
    let server = Server::get();
    let stage = Stage::over(Box::new(server.store().await), ManualClock::at_us(NOW_US)).await;
    let meter = stage.keys.meter(&"u-acme".parse().unwrap(), None, None);
    let key = format!("{}:meter:{}", meter.account(), NOW_US / HOUR_US);
    let mut write = redis::cmd("HSET");
    write.arg(&key);
    for number in 0..5_000 {
        let name = format!("s-{number}");
        write.arg(format!("{}:{name}:0::a", name.len())).arg(number + 1);
    }
    write.arg("nonsense:a").arg(1);
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let _: u32 = write.query_async(&mut connection).await.unwrap();
    let answer = stage.see("/metering?tenant=acme").await;
    let lines = answer["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &answer["unreadable"]), (5_000, &json!(true)));
    assert_eq!(lines.iter().map(|line| line["admitted"].as_u64().unwrap()).sum::<u64>(), 5_000 * 5_001 / 2);
}

#[tokio::test]
async fn csv_says_the_same() {
    let stage = Stage::memory().await;
    assert!(stage.ask(descriptor("acme", "s-01", "billing-api", 2)).await.unwrap());
    assert!(!stage.ask(descriptor("acme", "s-01", "billing-api", 6)).await.unwrap());
    assert!(stage.ask(descriptor("nobody", "__none__", "__none__", 1)).await.unwrap());
    let ask = |path: &str| stage.get("operator-token", path).header("accept", "text/csv, application/json;q=0.5");
    let (status, text) = told(ask("/metering")).await;
    assert_eq!(
        (status, text.as_str()),
        (
            200,
            "tenant,uid,subscription,api,hour,admitted,denied\r\n\
             acme,u-acme,s-01,billing-api,2026-11-22T05:00:00Z,2,6\r\n\
             unresolved,,,,2026-11-22T05:00:00Z,1,0\r\n"
        )
    );
    let page = ask("/metering?limit=1").send().await.unwrap();
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    assert!(link.starts_with("</metering?from=2026-11-21T06:00:00Z&to=2026-11-22T06:00:00Z&limit=1&after=globex/"), "{link}");
}

#[tokio::test]
async fn s22_a_tenants_token_reads_its_own_bill_only() {
    let stage = Stage::memory().await;
    for (tenant, api) in [("acme", "orders-api"), ("globex", "billing-api"), ("nobody", "__none__")] {
        assert!(stage.ask(descriptor(tenant, "__none__", api, 1)).await.unwrap());
    }
    let own = told(stage.get("acme", "/metering")).await;
    assert_eq!(own, told(stage.get("operator-token", "/metering?tenant=acme")).await);
    assert_eq!(own, told(stage.get("acme", "/metering?uid=u-acme")).await);
    assert!(own.1.contains("orders-api") && !own.1.contains("globex") && !own.1.contains("unresolved"), "{}", own.1);
    for path in [
        "/metering?tenant=globex",
        "/metering?tenant=nobody",
        "/metering?tenant=unresolved",
        "/metering?uid=u-globex",
        "/metering?uid=u-nobody",
        "/metering?uid=%20",
        "/metering?tenant=acme&uid=u-globex",
    ] {
        assert_eq!(told(stage.get("acme", path)).await, (404, String::new()), "{path}");
    }
}

#[tokio::test]
async fn s23_a_tenant_that_is_no_more_is_billed_by_its_uid() {
    let stage = Stage::memory().await;
    let meter = stage.keys.meter(&"u-gone".parse().unwrap(), Some(&"s-01".parse().unwrap()), None);
    let tally = bulkhead_ratelimit::store::Tally { meter, admitted: 7, denied: 3 };
    stage.store.ledger().tally(None, &[tally]).await.remove(0).unwrap();
    assert_eq!(stage.see("/metering").await["lines"], json!([]));
    let line = json!({
        "tenant": null, "uid": "u-gone", "subscription": "s-01", "api": null, "hour": "2026-11-22T05:00:00Z", "admitted": 7, "denied": 3
    });
    assert_eq!(stage.see("/metering?uid=u-gone").await["lines"], json!([line]));
}

#[tokio::test]
async fn a_span_that_does_not_do_says_why() {
    let stage = Stage::memory().await;
    for query in [
        "from=x",
        "from=2026-11-22T05:30:00Z",
        "from=2026-09-01T00:00:00Z&to=2026-09-02T00:00:00Z",
        "limit=0",
        "after=x",
        "uid=%20",
        "hour=1",
    ] {
        let (status, body) = told(stage.get("operator-token", &format!("/metering?{query}"))).await;
        assert_eq!((status, body.contains("urn:bulkhead:bad_request")), (400, true), "{query}: {body}");
    }
}

#[tokio::test]
async fn s12_a_tenant_whose_own_store_is_away_takes_nobody_elses_bill() {
    let stage = Stage::memory().await;
    for tenant in ["acme", "globex"] {
        assert!(stage.ask(descriptor(tenant, "__none__", "billing-api", 1)).await.unwrap());
    }
    let tenants = |answer: &Value| answer["lines"].as_array().unwrap().iter().map(|line| line["tenant"].clone()).collect::<Vec<_>>();
    // Its meter is in its own store: the platform's answers for the others.
    *stage.store.away.lock().unwrap() = Some(stage.keys.account(&"u-acme".parse().unwrap()));
    stage.silo();
    let all = stage.see("/metering").await;
    assert_eq!(
        (tenants(&all), &all["unread"]),
        (vec![json!("globex")], &json!(["acme"])),
        "it is named, and not taken for a bill of nothing"
    );
    let csv = stage.get("operator-token", "/metering").header("accept", "text/csv").send().await.unwrap();
    assert_eq!((csv.status().as_u16(), csv.headers()["x-bulkhead-unread"].to_str().unwrap()), (200, "acme"));
    for (token, path) in [("operator-token", "/metering?tenant=acme"), ("acme", "/metering")] {
        assert_eq!(told(stage.get(token, path)).await.0, 503, "{path}");
    }
    *stage.store.away.lock().unwrap() = Some(stage.keys.account(&"u-globex".parse().unwrap()));
    assert_eq!(told(stage.get("operator-token", "/metering")).await.0, 503, "the platform's own is everybody's");
}
