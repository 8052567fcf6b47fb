use super::*;

fn shown(text: &str) -> Result<String, UpstreamError> {
    text.parse::<UpstreamUrl>().map(|url| url.to_string())
}

#[test]
fn s3_an_upstream_has_one_canonical_form() {
    for (written, canonical) in [
        ("https://billing.acme.internal/v1", "https://billing.acme.internal:443/v1"),
        ("HTTPS://Billing.ACME.internal/v1/", "https://billing.acme.internal:443/v1"),
        ("http://billing", "http://billing:80"),
        ("http://billing/", "http://billing:80"),
        ("http://10.0.0.1:8080/a/b", "http://10.0.0.1:8080/a/b"),
        ("http://[::ffff:10.0.0.1]:8080", "http://10.0.0.1:8080"),
        ("https://[2001:DB8::0:1]", "https://[2001:db8::1]:443"),
        ("https://a/users/@me:x", "https://a:443/users/@me:x"),
    ] {
        assert_eq!(shown(written).as_deref(), Ok(canonical), "{written}");
    }
}

#[test]
fn s3_what_is_not_an_upstream_is_refused() {
    for (written, error) in [
        ("billing.acme.internal", UpstreamError::Scheme),
        ("ftp://a", UpstreamError::Scheme),
        ("//a", UpstreamError::Scheme),
        ("https://user:secret@a/", UpstreamError::UserInfo),
        ("https://good\\@evil/", UpstreamError::UserInfo),
        ("https://a?x=1", UpstreamError::QueryOrFragment),
        ("https://a/#x", UpstreamError::QueryOrFragment),
        ("https://a?@b/", UpstreamError::QueryOrFragment),
        ("https://", UpstreamError::Host(HostError::Empty)),
        ("https:///v1", UpstreamError::Host(HostError::Empty)),
        ("https://a./", UpstreamError::Host(HostError::NotLdh)),
        ("https://a\\b/", UpstreamError::Host(HostError::NotLdh)),
        ("https://127.1/", UpstreamError::Host(HostError::OddAddress)),
        ("https://0x7f.1/", UpstreamError::Host(HostError::OddAddress)),
        ("https://2130706433/", UpstreamError::Host(HostError::OddAddress)),
        ("https://[::1/", UpstreamError::Host(HostError::NotIpv6)),
        ("https://a:0/", UpstreamError::Port),
        ("https://a:/", UpstreamError::Port),
        ("https://a:65536/", UpstreamError::Port),
        ("https://a:0443/", UpstreamError::Port),
    ] {
        assert_eq!(shown(written), Err(error), "{written}");
    }
    assert_eq!(shown(&format!("https://a/{}", "b".repeat(MAX_BYTES))), Err(UpstreamError::TooLong));
}

#[test]
fn s6_a_base_path_can_be_read_in_one_way() {
    for path in [
        "/.",
        "/..",
        "/v1/../admin",
        "/v1/..;/admin",
        "/%2e%2e",
        "/a%2fb",
        "/a%5cb",
        "/a%00",
        "/%252e",
        "//",
        "/a//b",
        "/a\\b",
        "/é",
        "/a b",
    ] {
        assert_eq!(shown(&format!("https://a{path}")), Err(UpstreamError::Path), "{path}");
    }
}

#[test]
fn an_origin_has_no_path() {
    assert_eq!("http://127.0.0.1:18081/".parse::<Origin>().unwrap().to_string(), "http://127.0.0.1:18081");
    assert_eq!("http://a/b".parse::<Origin>(), Err(UpstreamError::NotAnOrigin));
    assert_eq!("https://a".parse::<Origin>(), "https://A:443".parse());
}

#[test]
fn s3_local_origins_are_told_apart() {
    for local in
        ["http://localhost", "http://a.localhost", "http://[::1]", "http://[::ffff:127.0.0.1]", "http://0.0.0.0", "http://169.254.169.254"]
    {
        assert!(local.parse::<Origin>().unwrap().local().is_some(), "{local}");
    }
    assert_eq!("http://10.1.2.3".parse::<Origin>().unwrap().local(), None);
}
