//! More cases, one a line: hits that cross the near ratio and the limit, what a descriptor brings itself, how rules nest, and what headers tell.

use crate::{
    answers::{Case, every, every_on_valkey},
    case::call,
    standing_in::StandIn,
};

const YEAR10: &str = "[{ key: k, rate_limit: { unit: year, requests_per_unit: 10 } }]";
const SHADOW3: &str = "[{ key: k, shadow_mode: true, rate_limit: { unit: year, requests_per_unit: 3 } }]";
const NESTED: &str = "[{ key: a, rate_limit: { unit: year, requests_per_unit: 7 }, descriptors: [{ key: c, rate_limit: { unit: year, requests_per_unit: 2 } }] }, { key: a, value: x, descriptors: [{ key: b, rate_limit: { unit: year, requests_per_unit: 3 } }, { key: b, value: y, rate_limit: { unit: year, requests_per_unit: 4 } }] }]";

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "hits that cross the near ratio", variables: &[], rules: YEAR10, calls: &[("d !9: k=a", "ok ok1"), ("d: k=a", "ok ok0")],
        counted: &[("d.k.near_limit", 2), ("d.k.within_limit", 10), ("d.k.over_limit", 0)] },
    Case { name: "hits that reach the near ratio and no further", variables: &[], rules: YEAR10, calls: &[("d !8: k=a", "ok ok2")], counted: &[("d.k.near_limit", 0), ("d.k.within_limit", 8)] },
    Case { name: "hits that cross the near ratio and the limit at once", variables: &[], rules: YEAR10, calls: &[("d !12: k=a", "over over")],
        counted: &[("d.k.near_limit", 2), ("d.k.over_limit", 2), ("d.k.within_limit", 0), ("d.k.total_hits", 12)] },
    Case { name: "hits beyond a limit that is full are all over", variables: &[], rules: YEAR10, calls: &[("d !10: k=a", "ok ok0"), ("d !5: k=a", "over over")],
        counted: &[("d.k.near_limit", 2), ("d.k.over_limit", 5)] },
    Case { name: "of a limit of one the only hit is near", variables: &[], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 1 } }]", calls: &[("d: k=a", "ok ok0")], counted: &[("d.k.near_limit", 1)] },
    Case { name: "a ratio of one: near is never", variables: &[("NEAR_LIMIT_RATIO", "1")], rules: YEAR10, calls: &[("d !10: k=a", "ok ok0"), ("d: k=a", "over over"), ("d !11: k=b", "over over")],
        counted: &[("d.k.near_limit", 0), ("d.k.over_limit", 2)] },
    Case { name: "a ratio of zero: near is always", variables: &[("NEAR_LIMIT_RATIO", "0")], rules: YEAR10, calls: &[("d !3: k=a", "ok ok7")], counted: &[("d.k.near_limit", 3)] },
    Case { name: "a look near the limit counts nothing", variables: &[], rules: YEAR10, calls: &[("d !9: k=a", "ok ok1"), ("d: k=a +0", "ok ok1")], counted: &[("d.k.near_limit", 1), ("d.k.total_hits", 9)] },
    Case { name: "hits 0 of a call are one", variables: &[], rules: YEAR10, calls: &[("d !0: k=a", "ok ok9")], counted: &[("d.k.total_hits", 1)] },
    Case { name: "each descriptor has its own hits", variables: &[], rules: YEAR10, calls: &[("d !2: k=a +5 | k=b | k=c +0", "ok ok5 ok8 ok10")], counted: &[("d.k.total_hits", 7)] },
    Case { name: "shadow: hits that straddle the limit", variables: &[], rules: SHADOW3, calls: &[("d !5: k=a", "ok ok0")],
        counted: &[("d.k.shadow_mode", 2), ("d.k.over_limit", 2), ("d.k.near_limit", 1), ("d.k.within_limit", 0)] },
    Case { name: "shadow: all hits are beyond it", variables: &[], rules: SHADOW3, calls: &[("d !3: k=a", "ok ok0"), ("d !4: k=a", "ok ok0")], counted: &[("d.k.shadow_mode", 4), ("d.k.over_limit", 4)] },
    Case { name: "shadow with a local cache", variables: &[("LOCAL_CACHE_SIZE_IN_BYTES", "1000000")], rules: SHADOW3, calls: &[("d !4: k=a", "ok ok0"), ("d !2: k=a", "ok ok0")],
        counted: &[("d.k.shadow_mode", 3), ("d.k.over_limit_with_local_cache", 2), ("d.k.over_limit", 3)] },
    Case { name: "shadow beside a limit that is over", variables: &[], rules: "[{ key: k, shadow_mode: true, rate_limit: { unit: year, requests_per_unit: 0 } }, { key: r, rate_limit: { unit: year, requests_per_unit: 0 } }]",
        calls: &[("d: k=a | r=b", "over ok0 over")], counted: &[("d.k.shadow_mode", 1), ("d.r.shadow_mode", 0)] },
    Case { name: "two limits that one descriptor brings share its counter", variables: &[], rules: YEAR10, calls: &[("d: x=a @5/YEAR | x=a @3/YEAR", "ok ok4 ok1"), ("d: x=a @3/YEAR", "ok ok0")], counted: &[("d.x_a.total_hits", 3)] },
    Case { name: "a descriptor's own limit of nothing", variables: &[], rules: YEAR10, calls: &[("d: k=a @0/YEAR", "over over")], counted: &[("d.k_a.over_limit", 1)] },
    Case { name: "a look at a limit of nothing", variables: &[], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 0 } }]", calls: &[("d: k=a +0", "ok ok0"), ("d: k=a", "over over"), ("d: k=a +0", "over over")], counted: &[("d.k.over_limit", 1)] },
    Case { name: "a descriptor's own limit and hits", variables: &[], rules: YEAR10, calls: &[("d: x=a +2 @5/YEAR", "ok ok3"), ("d !4: x=a @5/YEAR", "over over")], counted: &[("d.x_a.over_limit", 1), ("d.x_a.near_limit", 1)] },
    Case { name: "a descriptor's own limit holds where the rule is unlimited", variables: &[], rules: "[{ key: k, rate_limit: { unlimited: true } }]", calls: &[("d: k=a @1/YEAR", "ok ok0"), ("d: k=a @1/YEAR", "over over"), ("d: k=a", "ok max")], counted: &[] },
    Case { name: "a descriptor's own limit is no quota", variables: &[], rules: "[{ key: q, quota_mode: true, rate_limit: { unit: year, requests_per_unit: 9 } }]", calls: &[("d: q=a @0/YEAR | q=b", "over over ok8")], counted: &[] },
    Case { name: "quotas beside what is unlimited", variables: &[], rules: "[{ key: q, quota_mode: true, rate_limit: { unit: year, requests_per_unit: 0 } }, { key: f, rate_limit: { unlimited: true } }]", calls: &[("d: q=a | f=b", "over over max")], counted: &[] },
    Case { name: "a limit at each depth", variables: &[], rules: NESTED, calls: &[("d: a=z", "ok ok6"), ("d: a=z,c=1", "ok ok1"), ("d: a=x", "ok -")], counted: &[("d.a.total_hits", 1), ("d.a.c.total_hits", 1)] },
    Case { name: "a value that matches does not fall back to the bare key", variables: &[], rules: NESTED, calls: &[("d: a=x,c=1", "ok -"), ("d: a=x,b=y", "ok ok3"), ("d: a=x,b=z", "ok ok2")], counted: &[("d.a_x.b_y.total_hits", 1), ("d.a_x.b.total_hits", 1)] },
    Case { name: "a wildcard of nothing but the star", variables: &[], rules: "[{ key: k, value: '*', rate_limit: { unit: year, requests_per_unit: 5 } }]", calls: &[("d: k=a", "ok ok4"), ("d: k=b", "ok ok4"), ("d: other=a", "ok -")], counted: &[("d.k_*.total_hits", 2)] },
    Case { name: "a wildcard above another rule", variables: &[], rules: "[{ key: k, value: 'v*', descriptors: [{ key: s, value: 'w*', rate_limit: { unit: year, requests_per_unit: 5 } }] }]", calls: &[("d: k=v1,s=w1", "ok ok4"), ("d: k=v1,s=w2", "ok ok4"), ("d: k=v1,s=x", "ok -")], counted: &[("d.k_v*.s_w*.total_hits", 2)] },
    Case { name: "an entry that stands twice is two deep", variables: &[], rules: YEAR10, calls: &[("d: k=a,k=a", "ok -"), ("d: k=a", "ok ok9")], counted: &[] },
    Case { name: "a key of nothing", variables: &[], rules: YEAR10, calls: &[("d: =a", "ok -"), ("d: =", "ok -")], counted: &[] },
    Case { name: "spaces and letters of any script", variables: &[], rules: YEAR10, calls: &[("d: k=a b", "ok ok9"), ("d: k=\u{e9}", "ok ok9"), ("d: k=e\u{301}", "ok ok9"), ("d: k=a b", "ok ok8")], counted: &[("d.k.total_hits", 4)] },
    Case { name: "case matters in keys and values", variables: &[], rules: "[{ key: k, value: v, rate_limit: { unit: year, requests_per_unit: 5 } }]", calls: &[("d: k=V", "ok -"), ("d: K=v", "ok -"), ("D: k=v", "ok -"), ("d: k=v", "ok ok4")], counted: &[("D.domain_not_found", 1)] },
    Case { name: "the largest limit", variables: &[], rules: "[{ key: k, rate_limit: { unit: year, requests_per_unit: 4294967295 } }]", calls: &[("d: k=a", "ok ok4294967294"), ("d !4294967295: k=a", "over over")], counted: &[("d.k.over_limit", 1)] },
    Case { name: "replaces what nobody is called has no effect", variables: &[], rules: "[{ key: k, rate_limit: { replaces: [{ name: nobody }], unit: year, requests_per_unit: 5 } }, { key: o, rate_limit: { unit: year, requests_per_unit: 5 } }]", calls: &[("d: k=a | o=b", "ok ok4 ok4")], counted: &[] },
    Case { name: "replaces in a chain", variables: &[], rules: "[{ key: a, rate_limit: { name: a, unit: year, requests_per_unit: 5 } }, { key: b, rate_limit: { name: b, replaces: [{ name: a }], unit: year, requests_per_unit: 6 } }, { key: c, rate_limit: { replaces: [{ name: b }], unit: year, requests_per_unit: 7 } }]",
        calls: &[("d: a=1 | b=1 | c=1", "ok - - ok6"), ("d: a=1 | b=1", "ok - ok5"), ("d: a=1 | c=1", "ok ok4 ok5")], counted: &[] },
    Case { name: "what is replaced is not over", variables: &[], rules: "[{ key: a, rate_limit: { name: none, unit: year, requests_per_unit: 0 } }, { key: b, rate_limit: { replaces: [{ name: none }], unit: year, requests_per_unit: 6 } }]", calls: &[("d: a=1 | b=1", "ok - ok5"), ("d: a=1", "over over")], counted: &[("d.a.total_hits", 1)] },
    Case { name: "value_to_metric of a wildcard", variables: &[], rules: "[{ key: k, value: 'v*', value_to_metric: true, rate_limit: { unit: year, requests_per_unit: 5 } }]", calls: &[("d: k=v1", "ok ok4"), ("d: k=v2", "ok ok4")], counted: &[("d.k_v1.total_hits", 1), ("d.k_v2.total_hits", 1)] },
    Case { name: "share_threshold counts under its pattern", variables: &[], rules: "[{ key: f, value: 'g/*', share_threshold: true, rate_limit: { unit: year, requests_per_unit: 5 } }]", calls: &[("d !3: f=g/a", "ok ok2"), ("d !3: f=g/b", "over over")], counted: &[("d.f_g/*.total_hits", 6), ("d.f_g/*.near_limit", 1), ("d.f_g/*.over_limit", 1)] },
    Case { name: "stop: a look beside what is over", variables: &[("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "true")], rules: YEAR10, calls: &[("d !10: k=a", "ok ok0"), ("d: k=a | k=b", "over over ok10"), ("d: k=b +0 | k=a", "over ok10 over")], counted: &[] },
];

#[tokio::test]
async fn every_edge_in_memory() {
    every(CASES, "edge", "memory").await;
}

#[tokio::test]
async fn every_edge_on_valkey() {
    every_on_valkey(CASES, "edge").await;
}

/// RateLimit-Limit and RateLimit-Remaining.
type Told = Option<(&'static str, &'static str)>;

/// Rules, a call, and what its headers say of which limit; nothing where there is none.
const HEADERS: &[(&str, &str, Told)] = &[
    ("[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]", "d: k=a", Some(("5", "4"))),
    ("[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]", "d: k=a +0", Some(("5", "5"))),
    ("[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]", "d !6: k=a", Some(("5", "0"))),
    ("[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]", "d: other=a", None),
    ("[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]", "nobody: k=a", None),
    ("[{ key: k, rate_limit: { unlimited: true } }]", "d: k=a", None),
    (
        "[{ key: k, rate_limit: { unlimited: true } }, { key: l, rate_limit: { unit: year, requests_per_unit: 9 } }]",
        "d: k=a | l=b",
        Some(("9", "8")),
    ),
    (
        "[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }, { key: l, rate_limit: { unit: year, requests_per_unit: 3 } }]",
        "d: k=a | l=b",
        Some(("3", "2")),
    ),
    (
        "[{ key: k, rate_limit: { unit: year, requests_per_unit: 0 } }, { key: l, rate_limit: { unit: year, requests_per_unit: 1 } }]",
        "d !2: k=a | l=b | k=c +0",
        Some(("1", "0")),
    ),
    (
        "[{ key: k, rate_limit: { unit: year, requests_per_unit: 1 } }, { key: l, rate_limit: { unit: year, requests_per_unit: 2 } }]",
        "d !3: k=a | l=b",
        Some(("2", "0")),
    ),
    (
        "[{ key: k, shadow_mode: true, rate_limit: { unit: year, requests_per_unit: 1 } }, { key: l, rate_limit: { unit: year, requests_per_unit: 9 } }]",
        "d !3: l=b | k=a",
        Some(("1", "0")),
    ),
    ("[{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]", "d: k=a @8/YEAR", Some(("8", "7"))),
    ("[{ key: k, rate_limit: { unit: second, requests_per_unit: 5 } }]", "d: k=a", Some(("5", "4"))),
];

#[tokio::test]
async fn headers_tell_of_the_limit_that_matters() {
    for (rules, asked, expected) in HEADERS {
        let service =
            StandIn::in_memory(&[("LIMIT_RESPONSE_HEADERS_ENABLED", "true")], &format!("domain: d\ndescriptors: {rules}\n")).await;
        let answer = service.ask(call(asked)).await.unwrap();
        let header =
            |name: &str| answer.response_headers_to_add.iter().find(|header| header.key == name).map(|header| header.value.as_str());
        assert_eq!(header("RateLimit-Limit").zip(header("RateLimit-Remaining")), *expected, "{rules} {asked}");
        let reset = header("RateLimit-Reset").map(|reset| reset.parse::<u64>().unwrap());
        let longest = if rules.contains("second") { 1 } else { 366 * 86_400 };
        assert!(
            reset.is_none_or(|reset| (1..=longest).contains(&reset)) && reset.is_some() == expected.is_some(),
            "{rules} {asked}: {reset:?}"
        );
    }
}

/// `/json`: a body, and its status.
#[tokio::test]
async fn json_bodies_of_every_kind_have_the_originals_status() {
    let service = StandIn::in_memory(&[], "domain: d\ndescriptors: [{ key: k, rate_limit: { unit: year, requests_per_unit: 1 } }]\n").await;
    for (body, status) in [
        (r#"{"domain":"d","descriptors":[{"entries":[{"key":"k","value":"a"}]}]}"#, 200),
        (r#"{"domain":"d","descriptors":[{"entries":[{"key":"k","value":"a"}]}]}"#, 429),
        (r#"{"domain":"d","descriptors":[{"entries":[{"key":"k","value":"b"}]}],"hitsAddend":2}"#, 429),
        (r#"{"domain":"d","descriptors":[{"entries":[{"key":"k","value":"c"}]}],"hits_addend":1}"#, 200),
        (r#"{"domain":"nobody","descriptors":[{"entries":[{"key":"k","value":"a"}]}]}"#, 200),
        (r#"{"domain":"d","descriptors":[]}"#, 400),
        (r#"{"descriptors":[{"entries":[{"key":"k","value":"a"}]}]}"#, 400),
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("null", 400),
        ("\u{feff}{}", 400),
        (r#"{"domain":7}"#, 400),
        (r#"{"domain":"d","unknown":1}"#, 400),
    ] {
        let answer = bulkhead_tests::client::Request::post("/json", body).send(service.http).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
}
