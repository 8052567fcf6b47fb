use proptest::prelude::*;

use super::*;

fn accepted(path: &str) -> bool {
    SafePath::judge(path).is_ok()
}

#[test]
fn s6_plain_paths_pass_as_they_are() {
    for path in [
        "/",
        "/acme/billing-api",
        "/acme/billing-api/",
        "/a/b;v=1/c",
        "/a/caf%C3%A9",
        "/a/100%25",
        "/a/%7Euser/...",
        "/a/.well-known/x",
        "/a/..b/c..",
        "/a/x:y@z,!$&'()*+=~",
        "/a/%20b",
    ] {
        assert_eq!(SafePath::judge(path).map(SafePath::as_str), Ok(path));
    }
}

#[test]
fn s6_dot_segments_are_refused_raw_encoded_and_with_parameters() {
    for path in [
        "/v1/..",
        "/v1/../admin",
        "/v1/./x",
        "/.",
        "/..",
        "/v1/..;/admin",
        "/v1/..;a=b/admin",
        "/v1/.;/admin",
        "/v1/%2e%2e/admin",
        "/v1/%2E%2e/admin",
        "/v1/.%2e/admin",
        "/v1/%2e./admin",
        "/v1/%2e",
        "/v1/%2e%2e;/admin",
        "/v1/%2e%2e%3b/admin",
        "/v1/..%3Bx/admin",
        "/v1/..%20/admin",
        "/v1/%20.%20/admin",
        "/v1/..%e2%80%8b/admin",
        "/v1/%ef%bb%bf../admin",
        "/v1/..%c2%a0;x/admin",
        "/v1/%20/admin",
    ] {
        assert!(!accepted(path), "{path}");
    }
}

#[test]
fn s6_slashes_backslashes_and_nul_are_refused_in_any_form() {
    for path in ["/v1/a\\b", "/v1/..\\admin", "/v1/a%5cb", "/v1/a%5Cb", "/v1/a%2fb", "/v1/a%2Fb", "/v1/..%2fadmin", "/v1/a%00", "/v1/%00"] {
        assert!(!accepted(path), "{path}");
    }
}

#[test]
fn s6_doubly_encoded_forms_are_refused() {
    for path in [
        "/v1/%252e%252e/admin",
        "/v1/%25252e%25252e/admin",
        "/v1/a%255cb",
        "/v1/a%252fb",
        "/v1/a%2500",
        "/v1/%%32%65%%32%65/admin",
        "/v1/%25%32%65%25%32%65/admin",
        "/v1/%2525252525252541",
    ] {
        assert!(!accepted(path), "{path}");
    }
}

#[test]
fn s6_control_and_non_ascii_bytes_are_refused() {
    for path in
        ["/v1/a\nb", "/v1/a\tb", "/v1/a\u{7f}", "/v1/é", "/v1/\u{ff0e}\u{ff0e}/admin", "/v1/a b", "/v1/a%0d%0ab", "/v1/%7f", "/v1/a#b"]
    {
        assert!(!accepted(path), "{path:?}");
    }
}

#[test]
fn s6_overlong_and_broken_encodings_are_refused() {
    for path in ["/v1/%c0%ae%c0%ae/admin", "/v1/%c0%af", "/v1/%e0%80%ae", "/v1/%ff", "/v1/%", "/v1/%4", "/v1/%zz", "/v1/%u002e"] {
        assert!(!accepted(path), "{path}");
    }
}

#[test]
fn s6_what_compatibility_folding_makes_another_path_of_is_refused_at_any_depth() {
    for path in [
        "/v1/%ef%bc%8e%ef%bc%8e/admin",
        "/v1/.%ef%b9%92/admin",
        "/v1/..%ef%bc%8fadmin",
        "/v1/..%ef%bc%bcadmin",
        "/v1/%ef%bc%852e%ef%bc%852e/admin",
        "/v1/..%cd%bea=b/admin",
        "/v1/%25ef%25bc%258e./admin",
    ] {
        assert!(!accepted(path), "{path}");
    }
    for path in ["/v1/%ef%bc%a1", "/v1/wait%e2%80%a6", "/v1/50%ef%bc%85", "/v1/%c2%bd"] {
        assert!(accepted(path), "{path}");
    }
}

#[test]
fn s6_empty_segments_are_refused_but_a_last_one() {
    for path in ["//", "//a", "/a//b", "/a//", "/a/;/b", "/;x/b", "", "a/b", "*", "http://acme/a"] {
        assert!(!accepted(path), "{path}");
    }
    assert!(accepted("/a/"));
}

#[test]
fn s6_a_path_without_end_is_refused() {
    assert!(accepted(&format!("/{}", "a".repeat(MAX_BYTES - 1))));
    assert!(!accepted(&format!("/{}", "a".repeat(MAX_BYTES))));
}

#[test]
fn segments_are_split_off_one_by_one() {
    let path = SafePath::judge("/acme/billing/x/").unwrap();
    let (tenant, rest) = path.split_first().unwrap();
    let (api, rest) = rest.split_first().unwrap();
    assert_eq!((tenant, api, rest.as_str()), ("acme", "billing", "/x/"));
    assert!(SafePath::judge("/").unwrap().split_first().is_none());
    assert!(SafePath("").split_first().is_none());
}

/// Decodes as often as anything changes, whatever the judge does, and reads the result as the laxest server would.
fn finds_harm(path: &str) -> bool {
    let mut bytes = path.as_bytes().to_vec();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let dots = text.split(['/', '\\']).map(|segment| segment.split(';').next().unwrap_or("")).any(|name| name == "." || name == "..");
        // As many slashes as arrived: none came out of an encoding.
        let slashes = text.matches('/').count() != path.matches('/').count();
        if dots || slashes || text.contains('\\') || bytes.iter().any(u8::is_ascii_control) {
            return true;
        }
        let decoded: Vec<u8> = percent_encoding::percent_decode(&bytes).collect();
        if decoded == bytes {
            return false;
        }
        bytes = decoded;
    }
}

/// Text out of the pieces that attacks are made of.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%2E"),
        Just("%25"),
        Just("25"),
        Just("2e"),
        Just("%2f"),
        Just("%5c"),
        Just("\\"),
        Just(";"),
        Just("%3b"),
        Just("%00"),
        Just("%"),
        Just("a"),
        Just("é"),
        Just("%c3%a9"),
        Just("%c0%ae"),
        Just("\u{1}")
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn s6_nothing_harmful_is_accepted_at_any_depth_of_decoding(path in hostile()) {
        if accepted(&path) {
            prop_assert!(!finds_harm(&path), "{path}");
        }
    }

    #[test]
    fn s6_the_judge_never_panics_and_never_changes_a_path(path in "\\PC{0,64}") {
        if let Ok(safe) = SafePath::judge(&path) {
            prop_assert_eq!(safe.as_str(), path.as_str());
        }
    }

    #[test]
    fn s6_ordinary_paths_are_accepted(segments in proptest::collection::vec("[a-zA-Z0-9_~-]{1,12}", 1..6)) {
        let path = format!("/{}", segments.join("/"));
        prop_assert!(accepted(&path));
    }
}
