use super::*;
use crate::text::{Eye, Layer};

/// What every detector finds: `kind=text`.
fn found(text: &str, key: &str) -> Vec<String> {
    let budget = Budget::default();
    let view = View::of(Layer::Plain, Eye::Person, text.as_bytes(), 0..text.len(), &budget).unwrap();
    let hits = find(Detector::ALL.iter().collect(), &view, key, &budget).unwrap();
    hits.iter().map(|hit| format!("{}={}", hit.kind, text.get(view.origin(hit.at.clone())).unwrap())).collect()
}

/// Each text, and what is found in it.
fn assert_found(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        assert_eq!(found(text, "").join(" | "), *wanted, "{text}");
    }
}

#[test]
fn emails() {
    assert_found(&[
        ("write to a.b+c@mail.example.co.uk.", "email=a.b+c@mail.example.co.uk"),
        ("<mailto:o'hara@example.com>", "email=o'hara@example.com"),
        ("jörg@müller.de", "email=jörg@müller.de"),
        ("a@b", ""),
        ("a@example.com1", ""),
        ("icon@2x.png", ""),
        ("pkg@1.2.3", ""),
        ("git@github.com:owner/repo.git", ""),
        ("@example.com", ""),
        ("meet @ noon.com", ""),
    ]);
}

#[test]
fn cards() {
    assert_found(&[
        ("4111 1111 1111 1111 12/27 123", "card=4111 1111 1111 1111"),
        ("5500-0000-0000-0004", "card=5500-0000-0000-0004"),
        ("378282246310005", "card=378282246310005"),
        ("3782 822463 10005", "card=3782 822463 10005"),
        ("36227206271667", "card=36227206271667"),
        ("6011000990139424", "card=6011000990139424"),
        ("3530111333300000", "card=3530111333300000"),
        ("2223003122003222", "card=2223003122003222"),
        ("6304000000000000", "card=6304000000000000"),
        // A wrong check, no issuer, too long, a part of something else.
        ("4111111111111112", ""),
        ("1234567812345670", ""),
        ("41111111111111110000000", ""),
        ("x4111111111111111", ""),
        ("4111-1111-1111-1111-0", ""),
    ]);
}

#[test]
fn ibans() {
    assert_found(&[
        ("DE89 3704 0044 0532 0130 00, thanks", "iban=DE89 3704 0044 0532 0130 00"),
        ("gb33bukb20201555555555", "iban=gb33bukb20201555555555"),
        ("FR1420041010050500013M02606", "iban=FR1420041010050500013M02606"),
        ("DE89370400440532013001", ""),
        ("ZZ89370400440532013000", ""),
    ]);
}

#[test]
fn national_ids() {
    assert_found(&[
        ("SSN 078-05-1120", "national-id=078-05-1120"),
        ("my social security number is 219099999", "national-id=219099999"),
        ("AB 12 34 56 C", "national-id=AB 12 34 56 C"),
        ("1 84 12 76 451 089 46", "national-id=1 84 12 76 451 089 46"),
        ("Steuer-ID: 86095742719", "national-id=86095742719"),
        ("12345678Z", "national-id=12345678Z"),
        ("X1234567L", "national-id=X1234567L"),
        ("RSSMRA85T10A562S", "national-id=RSSMRA85T10A562S"),
        ("BSN 111222333", "national-id=111222333"),
        ("85.07.30-033.28", "national-id=85.07.30-033.28"),
        ("811228-9874", "national-id=811228-9874"),
        ("131052-308T", "national-id=131052-308T"),
        ("111.444.777-35", "national-id=111.444.777-35"),
        ("PESEL 44051401359", "national-id=44051401359"),
        ("756.9217.0769.85", "national-id=756.9217.0769.85"),
        ("2345 6789 0124", "national-id=2345 6789 0124"),
        // Nothing says what they are, or the check is wrong, or it is called something else.
        ("219099999", ""),
        ("666-12-3456", ""),
        ("12345678A", ""),
        ("RSSMRA85T10A562T", ""),
        ("part 078-05-1120", ""),
    ]);
    assert_eq!(found("219099999", "ssn"), ["national-id=219099999"]);
}

#[test]
fn ip_addresses() {
    assert_found(&[
        ("from 203.0.113.7:443.", "ip=203.0.113.7"),
        ("[2001:db8::1]:443", "ip=2001:db8::1"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "ip=2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
        ("::ffff:192.0.2.128", "ip=::ffff:192.0.2.128"),
        ("10.0.0.0/8", "ip=10.0.0.0"),
        ("version 1.2.3.4", ""),
        ("v1.2.3.4", ""),
        ("1.2.3.4.5", ""),
        ("256.1.1.1", ""),
        ("127.0.0.1 0.0.0.0 ::1", ""),
        ("std::vec ab::cd", ""),
        ("12:34:56", ""),
        ("00:1a:2b:3c:4d:5e", ""),
    ]);
}

#[test]
fn phones() {
    assert_found(&[
        ("+49 30 901820", "phone=+49 30 901820"),
        ("+1 (415) 555-2671", "phone=+1 (415) 555-2671"),
        ("+14155552671", "phone=+14155552671"),
        ("0049 30 901820", "phone=0049 30 901820"),
        ("(212) 555-0123", "phone=(212) 555-0123"),
        ("212-555-0123", "phone=212-555-0123"),
        ("06 12 34 56 78", "phone=06 12 34 56 78"),
        ("020 7946 0958", "phone=020 7946 0958"),
        ("phone: 5552671", "phone=5552671"),
        ("2024-01-02 10:11:12", ""),
        ("order 212-555-0123", ""),
        ("1700000000", ""),
        ("550e8400-e29b-41d4-a716-446655440000", ""),
        ("+12", ""),
    ]);
}

#[test]
fn secrets() {
    // Written in two parts: what looks for keys in sources shall not find these.
    let key = |begin: &str, rest: &str| format!("{begin}{rest}");
    for secret in [
        key("AKIA", "IOSFODNN7EXAMPLE"),
        key("ghp_", "abcdefghijklmnopqrstuvwxyz0123456789"),
        key("github_pat_", &"11ABCDEFG0123456789_abc".repeat(3)),
        key("sk_live_", "abcdefghijklmnop12345678"),
        key("xoxb-", "123456789012-abcdefghijkl"),
        key("AIza", "SyA1234567890abcdefghijklmnopqrstuv"),
        key("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"),
        key("-----BEGIN RSA PRIVATE", " KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"),
    ] {
        assert_eq!(found(&format!("use {secret} here"), ""), [format!("secret={secret}")]);
    }
    assert_found(&[
        ("postgres://app:s3cr3t@db.example.com/x", "secret=s3cr3t | email=s3cr3t@db.example.com"),
        ("password=hunter2!x&a=b", "secret=hunter2!x"),
        ("api_key: 'abc123DEF456'", "secret=abc123DEF456"),
        ("Authorization: Bearer abcdefghij1234567890xyz", "secret=abcdefghij1234567890xyz"),
        ("password: must be long", ""),
        ("password=${SECRET}", ""),
        ("password=********", ""),
        ("-----BEGIN PUBLIC KEY-----", ""),
        ("task-list sk-ip", ""),
    ]);
    assert_eq!(found("hunter2!x", "db_password"), ["secret=hunter2!x"]);
}
