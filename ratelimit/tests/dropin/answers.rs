//! One case a line: variables, rules, calls with their answers, and what was counted. Each runs in memory and on the real Valkey.
//!
//! Windows are years, months or weeks wherever a case counts: none ends while the tests run.

use bulkhead_tests::{shared::Shared, valkey::Valkey};

use crate::{
    case::{call, told},
    standing_in::StandIn,
};

static VALKEY: Shared<Valkey> = Shared::new();

/// Rules of a domain `d` in one line: what stands between `descriptors:` and the end.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) variables: &'static [(&'static str, &'static str)],
    pub(crate) rules: &'static str,
    pub(crate) calls: &'static [(&'static str, &'static str)],
    pub(crate) counted: &'static [(&'static str, u64)],
}

const YEAR5: &str = "[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]";
const STOP: &[(&str, &str)] = &[("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "true")];
const CACHE: &[(&str, &str)] = &[("LOCAL_CACHE_SIZE_IN_BYTES", "1000000")];

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "each value counts for itself", variables: &[], rules: YEAR5,
        calls: &[("d: k=a", "ok ok4"), ("d: k=a", "ok ok3"), ("d: k=b", "ok ok4")],
        counted: &[("d.k.total_hits", 3), ("d.k.within_limit", 3), ("d.k.over_limit", 0)] },
    Case { name: "over the limit it goes on counting", variables: &[], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 2 } }]",
        calls: &[("d: k=a", "ok ok1"), ("d: k=a", "ok ok0"), ("d: k=a", "over over"), ("d: k=a", "over over")],
        counted: &[("d.k.total_hits", 4), ("d.k.over_limit", 2), ("d.k.near_limit", 1), ("d.k.within_limit", 2)] },
    Case { name: "nothing matches", variables: &[], rules: YEAR5,
        calls: &[("d: other=a", "ok -"), ("d: k=a,k2=b", "ok -"), ("d: ", "ok -")], counted: &[("d.k.total_hits", 0)] },
    Case { name: "an unknown domain is let through and counted", variables: &[], rules: YEAR5,
        calls: &[("nobody: k=a", "ok -"), ("nobody: k=a | k=b", "ok - -")], counted: &[("nobody.domain_not_found", 3)] },
    Case { name: "exact, then wildcard, then any", variables: &[],
        rules: "[{ key: k, value: exact, rate_limit: { unit: year, requests_per_unit: 1 } }, { key: k, value: 'pre*', rate_limit: { unit: year, requests_per_unit: 2 } }, { key: k, rate_limit: { unit: year, requests_per_unit: 3 } }]",
        calls: &[("d: k=exact", "ok ok0"), ("d: k=prefix", "ok ok1"), ("d: k=else", "ok ok2")], counted: &[("d.k_exact.total_hits", 1)] },
    Case { name: "nested, and only at its depth", variables: &[],
        rules: "[{ key: a, value: x, descriptors: [{ key: b, rate_limit: { unit: month, requests_per_unit: 9 } }] }]",
        calls: &[("d: a=x", "ok -"), ("d: a=x,b=y", "ok ok8"), ("d: a=x,b=y,c=z", "ok -"), ("d: b=y", "ok -")],
        counted: &[("d.a_x.b.total_hits", 1)] },
    Case { name: "keys never collide as underscores would", variables: &[],
        rules: "[{ key: tenant, rate_limit: { unit: year, requests_per_unit: 5 }, descriptors: [{ key: user, rate_limit: { unit: year, requests_per_unit: 5 } }] }]",
        calls: &[("d: tenant=a,user=b", "ok ok4"), ("d: tenant=a_user_b", "ok ok4")], counted: &[] },
    Case { name: "unlimited asks no store", variables: &[], rules: "[{ key: k, rate_limit: { unlimited: true } }]",
        calls: &[("d: k=a", "ok max"), ("d: k=a | other=b", "ok max -")], counted: &[("d.k.total_hits", 0)] },
    Case { name: "a limit of zero blocks, a look too", variables: &[], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 0 } }]",
        calls: &[("d: k=a", "over over"), ("d: k=a +0", "over over")], counted: &[("d.k.over_limit", 1)] },
    Case { name: "hits of the request, and of a descriptor", variables: &[], rules: YEAR5,
        calls: &[("d !2: k=a", "ok ok3"), ("d !2: k=a +1", "ok ok2"), ("d !2: k=a +0", "ok ok2"), ("d: k=a +2", "ok ok0"), ("d: k=a +0", "ok ok0"), ("d: k=a", "over over"), ("d: k=a +0", "over over")],
        counted: &[("d.k.total_hits", 6), ("d.k.within_limit", 5), ("d.k.over_limit", 1)] },
    Case { name: "hits that straddle the limit", variables: &[], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 10 } }]",
        calls: &[("d !7: k=a", "ok ok3"), ("d !6: k=a", "over over")],
        counted: &[("d.k.total_hits", 13), ("d.k.over_limit", 3), ("d.k.near_limit", 2), ("d.k.within_limit", 7)] },
    Case { name: "near the limit by another ratio", variables: &[("NEAR_LIMIT_RATIO", "0.5")], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 4 } }]",
        calls: &[("d: k=a", "ok ok3"), ("d: k=a", "ok ok2"), ("d: k=a", "ok ok1")], counted: &[("d.k.near_limit", 1)] },
    Case { name: "enormous hits are only over", variables: &[], rules: YEAR5,
        calls: &[("d: k=a +18446744073709551615", "over over"), ("d !4294967295: k=a", "over over"), ("d: k=b", "ok ok4")], counted: &[] },
    Case { name: "descriptors count one by one, also the same twice", variables: &[], rules: YEAR5,
        calls: &[("d: k=a | k=b | k=a", "ok ok4 ok4 ok3"), ("d !3: k=a", "ok ok0"), ("d: k=a | k=b", "over over ok3")],
        counted: &[("d.k.total_hits", 8), ("d.k.over_limit", 1)] },
    Case { name: "rule shadow", variables: &[], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 1 }, shadow_mode: true }]",
        calls: &[("d: k=a", "ok ok0"), ("d: k=a", "ok ok0"), ("d: k=a", "ok ok0")],
        counted: &[("d.k.shadow_mode", 2), ("d.k.over_limit", 2)] },
    Case { name: "global shadow", variables: &[("SHADOW_MODE", "true")], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 1 } }]",
        calls: &[("d: k=a", "ok ok0"), ("d: k=a", "ok over")], counted: &[("d.k.over_limit", 1), ("d.k.shadow_mode", 0)] },
    Case { name: "quota mode: over when all quotas are", variables: &[],
        rules: "[{ key: q, value: a, quota_mode: true, rate_limit: { unit: year, requests_per_unit: 1 } }, { key: q, value: b, quota_mode: true, rate_limit: { unit: year, requests_per_unit: 2 } }]",
        calls: &[("d: q=a | q=b", "ok ok0 ok1"), ("d: q=a | q=b", "ok over ok0"), ("d: q=a | q=b", "over over over")], counted: &[] },
    Case { name: "quota mode: over when another limit is", variables: &[],
        rules: "[{ key: q, quota_mode: true, rate_limit: { unit: year, requests_per_unit: 5 } }, { key: k, rate_limit: { unit: year, requests_per_unit: 0 } }]",
        calls: &[("d: q=a | k=b", "over ok4 over")], counted: &[] },
    Case { name: "replaces", variables: &[],
        rules: "[{ key: a, rate_limit: { name: small, unit: year, requests_per_unit: 1 } }, { key: b, rate_limit: { replaces: [{ name: small }], unit: year, requests_per_unit: 7 } }]",
        calls: &[("d: a=x | b=y", "ok - ok6"), ("d: a=x", "ok ok0")], counted: &[("d.a.total_hits", 1)] },
    Case { name: "share_threshold counts values together", variables: &[],
        rules: "[{ key: f, value: 'files/*', share_threshold: true, rate_limit: { unit: year, requests_per_unit: 2 } }]",
        calls: &[("d: f=files/a", "ok ok1"), ("d: f=files/b", "ok ok0"), ("d: f=files/c", "over over")], counted: &[] },
    Case { name: "detailed_metric and value_to_metric", variables: &[],
        rules: "[{ key: k, detailed_metric: true, rate_limit: { unit: year, requests_per_unit: 5 } }, { key: a, value_to_metric: true, descriptors: [{ key: b, rate_limit: { unit: year, requests_per_unit: 5 } }] }]",
        calls: &[("d: k=one", "ok ok4"), ("d: a=two,b=three", "ok ok4")], counted: &[("d.k_one.total_hits", 1), ("d.a_two.b.total_hits", 1)] },
    Case { name: "a descriptor's own limit", variables: &[], rules: "[{ key: k, shadow_mode: true, rate_limit: { unit: year, requests_per_unit: 100 } }]",
        calls: &[("d: k=a @1/YEAR", "ok ok0"), ("d: k=a @1/YEAR", "over over"), ("d: any=thing,at=all @3/WEEK", "ok ok2"), ("d: k=b @9/DAY", "ok ok8")],
        counted: &[("d.k_a.over_limit", 1), ("d.any_thing.at_all.total_hits", 1)] },
    Case { name: "a descriptor's own limit needs a known domain", variables: &[], rules: YEAR5,
        calls: &[("nobody: k=a @0/YEAR", "ok -")], counted: &[("nobody.domain_not_found", 1)] },
    Case { name: "without the flag siblings of what is over count", variables: &[],
        rules: "[{ key: big, rate_limit: { unit: year, requests_per_unit: 9 } }, { key: small, rate_limit: { unit: year, requests_per_unit: 1 } }]",
        calls: &[("d: big=x | small=y", "ok ok8 ok0"), ("d: big=x | small=y", "over ok7 over"), ("d: big=x +0", "ok ok7")], counted: &[] },
    Case { name: "stop: what is over counts in none of the limits", variables: STOP,
        rules: "[{ key: big, rate_limit: { unit: year, requests_per_unit: 9 } }, { key: small, rate_limit: { unit: year, requests_per_unit: 1 } }]",
        calls: &[("d: big=x | small=y", "ok ok8 ok0"), ("d: big=x | small=y", "over ok8 over"), ("d: big=x +0", "ok ok8"), ("d: small=y +0", "ok ok0")],
        counted: &[("d.big.total_hits", 2), ("d.big.within_limit", 1), ("d.small.over_limit", 1)] },
    Case { name: "stop: a shadow rule that is over holds nobody up", variables: STOP,
        rules: "[{ key: real, rate_limit: { unit: year, requests_per_unit: 2 } }, { key: shadow, shadow_mode: true, rate_limit: { unit: year, requests_per_unit: 0 } }]",
        calls: &[("d: real=x | shadow=y", "ok ok1 ok0"), ("d: real=x | shadow=y", "ok ok0 ok0"), ("d: real=x | shadow=y", "over over ok0")], counted: &[("d.shadow.shadow_mode", 3)] },
    Case { name: "stop with a local cache: siblings are only looked at", variables: &[("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "true"), ("LOCAL_CACHE_SIZE_IN_BYTES", "1000000")],
        rules: "[{ key: big, rate_limit: { unit: year, requests_per_unit: 9 } }, { key: small, rate_limit: { unit: year, requests_per_unit: 1 } }]",
        calls: &[("d: big=x | small=y", "ok ok8 ok0"), ("d: small=y", "over over"), ("d: big=x | small=y", "over ok8 over"), ("d: big=x", "ok ok7")],
        counted: &[("d.small.over_limit_with_local_cache", 1), ("d.big.total_hits", 3)] },
    Case { name: "the local cache answers what is used up", variables: CACHE, rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 1 } }]",
        calls: &[("d: k=a", "ok ok0"), ("d: k=a", "over over"), ("d !3: k=a", "over over"), ("d: k=b", "ok ok0")],
        counted: &[("d.k.over_limit", 4), ("d.k.over_limit_with_local_cache", 3), ("d.k.total_hits", 6)] },
    Case { name: "the local cache does not mistake one limit for another", variables: CACHE, rules: YEAR5,
        calls: &[("d: x=a @1/YEAR", "ok ok0"), ("d: x=a @1/YEAR", "over over"), ("d: x=a @10/YEAR", "ok ok7")], counted: &[] },
    Case { name: "a prefix of keys", variables: &[("CACHE_KEY_PREFIX", "mine:")], rules: YEAR5, calls: &[("d: k=a", "ok ok4")], counted: &[] },
    Case { name: "units have windows of their own", variables: &[], rules: YEAR5,
        calls: &[("d: x=a @2/YEAR", "ok ok1"), ("d: x=a @2/WEEK", "ok ok1"), ("d: x=a @2/MONTH", "ok ok1"), ("d: x=a @2/YEAR", "ok ok0")], counted: &[] },
    Case { name: "dots, colons and addresses in names", variables: &[], rules: "[{ key: k, detailed_metric: true, rate_limit: { unit: year, requests_per_unit: 5 } }]",
        calls: &[("d: k=10.0.0.1", "ok ok4"), ("d: k=a:b|c", "ok ok4")], counted: &[("d.k_10_0_0_1.total_hits", 1), ("d.k_a_b_c.total_hits", 1)] },
    Case { name: "replaces, in whatever order, and by what is unlimited", variables: &[],
        rules: "[{ key: a, rate_limit: { name: small, unit: year, requests_per_unit: 1 } }, { key: b, rate_limit: { replaces: [{ name: small }], unit: year, requests_per_unit: 7 } }, { key: c, rate_limit: { replaces: [{ name: small }], unlimited: true } }]",
        calls: &[("d: b=y | a=x", "ok ok6 -"), ("d: a=x | c=z", "ok - max"), ("d: a=x", "ok ok0")], counted: &[("d.a.total_hits", 1)] },
    Case { name: "global shadow hides a descriptor's own limit too", variables: &[("SHADOW_MODE", "true")], rules: YEAR5,
        calls: &[("d: k=a @0/YEAR", "ok over"), ("d: k=a @1/WEEK", "ok ok0")], counted: &[] },
    Case { name: "quota mode: one quota alone, and beside what meets none", variables: &[],
        rules: "[{ key: q, quota_mode: true, rate_limit: { unit: year, requests_per_unit: 1 } }, { key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]",
        calls: &[("d: q=a", "ok ok0"), ("d: q=a", "over over"), ("d: q=a | other=b", "over over -"), ("d: q=a | k=b", "over over ok4"), ("d: q=a | q=b", "ok over ok0")], counted: &[] },
    Case { name: "an empty value meets the bare key, and counts for itself", variables: &[], rules: YEAR5,
        calls: &[("d: k=", "ok ok4"), ("d: k=", "ok ok3"), ("d: k=a", "ok ok4")], counted: &[("d.k.total_hits", 3)] },
    Case { name: "of two wildcards the first of the file", variables: &[],
        rules: "[{ key: k, value: 'a*', rate_limit: { unit: year, requests_per_unit: 1 } }, { key: k, value: 'ab*', rate_limit: { unit: year, requests_per_unit: 9 } }]",
        calls: &[("d: k=abc", "ok ok0"), ("d: k=abd", "ok ok0"), ("d: k=b", "ok -")], counted: &[] },
    Case { name: "units in any case", variables: &[], rules: "[{ key: k, rate_limit: { unit: YeAr, requests_per_unit: 5 } }]",
        calls: &[("d: k=a", "ok ok4")], counted: &[] },
    Case { name: "stop: hits that straddle the limit count not at all", variables: STOP, rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 10 } }]",
        calls: &[("d !7: k=a", "ok ok3"), ("d !6: k=a", "over over"), ("d !3: k=a", "ok ok0"), ("d: k=a +0", "ok ok0")], counted: &[] },
    Case { name: "the local cache is no answer to a look", variables: CACHE, rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 1 } }]",
        calls: &[("d: k=a +0", "ok ok1"), ("d: k=a", "ok ok0"), ("d: k=a +0", "ok ok0"), ("d: k=a", "over over"), ("d: k=a +0", "over over")], counted: &[] },
    Case { name: "an unlimited descriptor beside one that is over", variables: &[],
        rules: "[{ key: f, rate_limit: { unlimited: true } }, { key: k, rate_limit: { unit: year, requests_per_unit: 0 } }]",
        calls: &[("d: f=a | k=b", "over max over"), ("d: f=a +0", "ok max")], counted: &[] },
];

impl Case {
    async fn run(&self, store: &str, name: &str) {
        let rules = format!("domain: d\ndescriptors: {}\n", self.rules);
        // Cases share a Valkey: each has keys of its own, unless it sets the prefix itself.
        let prefix = format!("{name}:");
        let mut variables = vec![("CACHE_KEY_PREFIX", prefix.as_str())];
        variables.extend(self.variables);
        let mut flags: &[&str] = &["--store", "memory"];
        if store != "memory" {
            variables.extend([("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", store)]);
            flags = &[];
        }
        let service = StandIn::start_with(&variables, &[("d.yaml", &rules)], flags).await;
        let mut client = service.client().await;
        for (place, (asked, expected)) in self.calls.iter().enumerate() {
            let answer = client.should_rate_limit(call(asked)).await;
            let answer = answer.unwrap_or_else(|status| panic!("{} ({store}), call {place} `{asked}`: {status}", self.name));
            assert_eq!(told(answer.get_ref()), *expected, "{} ({store}), call {place} `{asked}`", self.name);
        }
        for (name, value) in self.counted {
            let counted = service.stat(&format!("ratelimit.service.rate_limit.{name}")).await;
            assert_eq!(counted, *value, "{} ({store}): {name}", self.name);
        }
        assert_eq!(service.stat("ratelimit_server.ShouldRateLimit.total_requests").await, self.calls.len() as u64, "{}", self.name);
    }
}

/// Runs cases of a name in memory, or on a Valkey at an address.
pub(crate) async fn every(cases: &[Case], name: &str, store: &str) {
    for (number, case) in cases.iter().enumerate() {
        case.run(store, &format!("{name}-{number}")).await;
    }
}

/// Runs them on the Valkey that all cases share.
pub(crate) async fn every_on_valkey(cases: &[Case], name: &str) {
    let valkey = VALKEY.get(Valkey::start).await;
    let url = valkey.url();
    every(cases, name, url.strip_prefix("redis://").unwrap()).await;
}

#[tokio::test]
async fn every_case_in_memory() {
    every(CASES, "case", "memory").await;
}

#[tokio::test]
async fn every_case_on_valkey() {
    every_on_valkey(CASES, "case").await;
}

#[tokio::test]
async fn domains_and_limits_that_envoy_gateway_makes() {
    let rules = "domain: default/limits\ndescriptors:\n- key: default/limits/rule/0\n  value: default/limits/rule/0\n  descriptors:\n  - { key: rule-0-match-0, rate_limit: { unit: hour, requests_per_unit: 100 } }\n";
    let service = StandIn::in_memory(&[], rules).await;
    let asked = "default/limits: default/limits/rule/0=default/limits/rule/0,rule-0-match-0=acme @2/MINUTE";
    let answer = service.ask(call(asked)).await.unwrap();
    assert_eq!(answer.statuses[0].current_limit.as_ref().unwrap().requests_per_unit, 2, "the metadata's limit, not the rule's");
    assert_eq!(answer.statuses[0].limit_remaining, 1);
}

#[tokio::test]
async fn what_is_no_call_has_the_originals_words() {
    let service = StandIn::in_memory(&[], "domain: d\ndescriptors: []\n").await;
    for (asked, words) in [
        (": k=a", "rate limit domain must not be empty"),
        ("bulkhead: k=a", "the domain `bulkhead` needs --config"),
        ("bulkhead: k=a @5/YEAR", "the domain `bulkhead` needs --config"),
    ] {
        assert_eq!(service.ask(call(asked)).await.unwrap_err().message(), words, "{asked}");
    }
    let mut nothing = call("d: k=a");
    nothing.descriptors.clear();
    let status = service.ask(nothing).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::Unknown, "rate limit descriptor list must not be empty"));
    assert_eq!(service.stat("ratelimit.service.call.should_rate_limit.service_error").await, 2);
}

#[tokio::test]
async fn what_crashes_the_original_is_an_invalid_argument() {
    let service = StandIn::in_memory(&[], "domain: d\ndescriptors: []\n").await;
    let mut unit = call("d: k=a @5/YEAR");
    unit.descriptors[0].limit.as_mut().unwrap().unit = 0;
    let mut nonsense = unit.clone();
    nonsense.descriptors[0].limit.as_mut().unwrap().unit = 77;
    let mut negative = call("d: k=a");
    negative.descriptors[0].is_negative_hits = true;
    let mut many = call("d: k=a");
    many.descriptors = vec![many.descriptors[0].clone(); 5_000];
    for request in [unit, nonsense, negative, many] {
        assert_eq!(service.ask(request).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
    assert_eq!(told(&service.ask(call("d: k=a @5/YEAR")).await.unwrap()), "ok ok4", "it still serves");
}

#[tokio::test]
async fn statuses_tell_the_limit_and_when_it_ends() {
    let rules = "domain: d\ndescriptors: [{ key: k, rate_limit: { name: mine, unit: day, requests_per_unit: 5 } }]\n";
    let service = StandIn::in_memory(&[("LIMIT_RESPONSE_HEADERS_ENABLED", "true"), ("LIMIT_REMAINING_HEADER", "X-Left")], rules).await;
    let answer = service.ask(call("d: k=a | k=b +2")).await.unwrap();
    let status = &answer.statuses[0];
    let limit = status.current_limit.as_ref().unwrap();
    assert_eq!((limit.name.as_str(), limit.requests_per_unit, limit.unit().as_str_name()), ("mine", 5, "DAY"));
    let reset = status.duration_until_reset.as_ref().unwrap();
    assert!((1..=86_400).contains(&reset.seconds) && reset.nanos == 0, "{reset:?}");
    let headers: Vec<_> = answer.response_headers_to_add.iter().map(|header| (header.key.as_str(), header.value.as_str())).collect();
    let told = headers[2].1;
    assert_eq!(headers[..2], [("RateLimit-Limit", "5"), ("X-Left", "3")], "of the descriptor with the least left");
    assert_eq!((headers[2].0, headers.len()), ("RateLimit-Reset", 3));
    assert!((1..=86_400).contains(&told.parse().unwrap()), "{told}");
}

#[tokio::test]
async fn dynamic_metadata_tells_what_passed() {
    let rules = "domain: d\ndescriptors:\n- { key: k, value: a, metadata: { who: first, in: { x: 1 } }, rate_limit: { unit: year, requests_per_unit: 0 } }\n- { key: k, value: b, metadata: { who: second, in: { y: [true, null] } }, rate_limit: { unit: year, requests_per_unit: 5 } }\n";
    let service = StandIn::in_memory(&[("RESPONSE_DYNAMIC_METADATA", "true")], rules).await;
    let answer = service.ask(call("d !2: k=a | k=b +3 @9/YEAR | k=b")).await.unwrap();
    let json = bulkhead_proto::json::ratelimit::write_response(&answer);
    assert_eq!(
        json["dynamicMetadata"],
        serde_json::json!({
            "domain": "d", "hitsAddend": 2, "metadata": { "who": "second", "in": { "y": [true, null] } },
            "descriptors": [{ "entries": ["k=a"] }, { "entries": ["k=b"], "limit": "requests_per_unit:9 unit:YEAR", "hitsAddend": 3 }, { "entries": ["k=b"] }],
        })
    );
}
