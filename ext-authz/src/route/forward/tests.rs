use proptest::prelude::*;

use super::*;
use crate::route::path::SafePath;

#[test]
fn s6_the_base_path_takes_the_place_of_tenant_and_api() {
    assert_eq!(under("/v1", "/invoices", None).unwrap(), "/v1/invoices");
    assert_eq!(under("/v1", "/invoices/", Some("a=%2e%2e/&b")).unwrap(), "/v1/invoices/?a=%2e%2e/&b");
    assert_eq!(under("/v1", "", None).unwrap(), "/v1");
    assert_eq!(under("/v1", "/", None).unwrap(), "/v1/");
    assert_eq!(under("", "", Some("")).unwrap(), "/?");
    assert_eq!(under("", "/x", None).unwrap(), "/x");
}

#[test]
fn s6_what_leaves_the_base_path_is_refused() {
    for (base, rest) in [("/v1", "x"), ("/v1", "2/x"), ("", "x"), ("", "//evil"), ("v1", "/x")] {
        assert_eq!(under(base, rest, None).unwrap_err().reason, Reason::BadPath, "{base} {rest}");
    }
}

#[test]
fn s25_a_query_that_envoy_would_fail_on_is_refused() {
    assert_eq!(under("/v1", "/x", Some("a\r\nx: y")).unwrap_err().reason, Reason::BadPath);
}

proptest! {
    #[test]
    fn s6_what_was_judged_is_what_is_sent(segments in proptest::collection::vec("[a-z0-9._;~%-]{1,8}", 1..5), base in "(/[a-z0-9]{1,4}){0,3}") {
        let arrived = format!("/{}", segments.join("/"));
        if let Ok(path) = SafePath::judge(&arrived) {
            let (_, rest) = path.split_first().unwrap();
            let sent = under(&base, rest.as_str(), None).unwrap();
            prop_assert!(sent.starts_with(&base));
            prop_assert!(sent.ends_with(rest.as_str()));
            prop_assert!(SafePath::judge(&sent).is_ok());
        }
    }
}
