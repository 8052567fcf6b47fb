use super::*;

#[test]
fn s3_only_one_spelling_of_an_address_is_a_host() {
    for odd in ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.01", "1.2.3.4.5", "256.0.0.1", "0x7f000001", "a.0x", "a.1"] {
        assert_eq!(odd.parse::<HostName>(), Err(HostError::OddAddress), "{odd}");
    }
    assert_eq!("10.0.0.1".parse::<HostName>().unwrap().address(), Some("10.0.0.1".parse().unwrap()));
    for mapped in ["[::ffff:10.0.0.1]", "[::FFFF:a00:1]"] {
        assert_eq!(HostName::of_url(mapped).unwrap().as_str(), "10.0.0.1", "{mapped}");
    }
    assert_eq!(HostName::of_url("[2001:DB8:0:0::1]").unwrap().as_str(), "[2001:db8::1]");
    for bad in ["[::1", "[]", "[10.0.0.1]", "[fe80::1%25eth0]", "[::1]x"] {
        assert_eq!(HostName::of_url(bad), Err(HostError::NotIpv6), "{bad}");
    }
}

#[test]
fn s3_names_of_the_machine_are_local() {
    for local in ["localhost", "LOCALHOST", "foo.localhost", "localhost.localdomain", "ip6-loopback", "127.9.9.9"] {
        assert!(local.parse::<HostName>().unwrap().local().is_some(), "{local}");
    }
    for fine in ["localhost.example.com", "notlocalhost", "10.0.0.1", "billing.acme.internal"] {
        assert_eq!(fine.parse::<HostName>().unwrap().local(), None, "{fine}");
    }
}

#[test]
fn s20_a_host_that_is_not_labels_is_refused() {
    for bad in ["", "a..b", "a.", ".a", "a,b", "u@a", "a b", "ä.example", "a_b", "-a", "a-", "[::1]"] {
        assert!(bad.parse::<HostName>().is_err(), "{bad}");
    }
    assert_eq!("A.Example".parse::<HostName>().unwrap().as_str(), "a.example");
}

#[test]
fn s20_an_authority_loses_one_valid_port() {
    assert_eq!(HostName::of_authority("Acme.example:8443").unwrap().as_str(), "acme.example");
    for bad in ["a:0", "a:65536", "a:080", "a:", "a:+1", "a:1:2", "[::1]:80", "[::1]", "a.:80"] {
        assert!(HostName::of_authority(bad).is_err(), "{bad}");
    }
}

#[test]
fn s21_a_wildcard_is_one_leading_label_and_matches_one_or_more() {
    for bad in ["*", "*.", "a.*", "*.*.a", "*a.b", "a*.b", "*.10.0.0.1", "*.1"] {
        assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
    }
    let below: HostPattern = "*.acme.example".parse().unwrap();
    for (host, inside) in [("a.acme.example", true), ("a.b.acme.example", true), ("acme.example", false), ("xacme.example", false)] {
        assert_eq!(below.matches(&host.parse().unwrap()), inside, "{host}");
    }
}
