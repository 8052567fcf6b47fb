//! The reader of hostile text: it never panics, and what it tells has places inside the text (S16).

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails its test")]

use std::{fs, path::Path, sync::Arc};

use bulkhead_tenancy::{host::HostPattern, resource, upstream::UpstreamUrl};
use proptest::{prelude::*, sample::Index};

/// Fixtures that are in order, and what is not: seeds for changes.
fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = ["tenant-every-field.yaml", "operator-every-field.yaml", "least.yaml", "errors/many-errors.yaml"];
    files.into_iter().map(|file| fs::read_to_string(root.join(file)).unwrap()).collect()
}

fn check(text: &str) {
    let (_, faults) = resource::read(&Arc::from("f.yaml"), text);
    let lines = u32::try_from(text.split(['\n', '\r']).count()).unwrap();
    for fault in faults {
        assert!(fault.line <= lines + 1, "{fault} lies outside of {lines} lines");
        assert!(!fault.to_string().contains(char::is_control), "{fault}");
    }
}

/// One change of a text: bytes taken out, put in, or repeated, where YAML has its meaning.
#[derive(Debug, Clone)]
enum Change {
    Remove(Index, usize),
    Insert(Index, String),
    Repeat(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let token = prop_oneof![
        Just("\n".to_owned()),
        Just("---\n".to_owned()),
        Just("  ".to_owned()),
        Just("\t".to_owned()),
        Just(": ".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("<<: ".to_owned()),
        Just("? ".to_owned()),
        Just("!!binary ".to_owned()),
        Just("| \n".to_owned()),
        Just("%YAML 1.2\n".to_owned()),
        "[\\[\\]{}\",'#|>&*!%@`~-]",
        "\\PC{0,8}",
        any::<char>().prop_map(String::from),
    ];
    prop_oneof![
        (any::<Index>(), 1..40usize).prop_map(|(at, many)| Change::Remove(at, many)),
        (any::<Index>(), token).prop_map(|(at, token)| Change::Insert(at, token)),
        (any::<Index>(), 1..200usize).prop_map(|(at, many)| Change::Repeat(at, many)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for change in changes {
        let length = characters.len();
        match change {
            Change::Remove(at, many) if length > 0 => {
                let start = at.index(length);
                drop(characters.drain(start..(start + many).min(length)));
            }
            Change::Insert(at, token) => {
                let start = at.index(length + 1);
                characters.splice(start..start, token.chars());
            }
            Change::Repeat(at, many) if length > 0 => {
                let start = at.index(length);
                let piece: Vec<char> = characters[start..(start + many).min(length)].to_vec();
                characters.splice(start..start, piece);
            }
            _ => {}
        }
    }
    characters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_text_never_panics(text in "(?s).{0,400}") {
        check(&text);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn yaml_that_was_tampered_with_never_panics(seed in any::<Index>(), changes in prop::collection::vec(change(), 1..12)) {
        let seeds = seeds();
        check(&changed(&seeds[seed.index(seeds.len())], &changes));
    }

    #[test]
    fn s3_an_upstream_that_parses_is_its_own_canonical_form(text in "(https?|HTTP)://[a-zA-Z0-9.:\\[\\]%@_-]{1,20}(:[0-9]{1,5})?(/[a-z.%;\\\\0-9]{0,6}){0,3}") {
        if let Ok(upstream) = text.parse::<UpstreamUrl>() {
            let canonical = upstream.to_string();
            prop_assert_eq!(canonical.parse(), Ok(upstream.clone()));
            prop_assert!(!canonical.contains(['%', '\\', '@', ';', '?', '#']));
            prop_assert!(!upstream.base_path.ends_with('/') && !upstream.base_path.contains("//"));
            // What we read as the host, the URL standard reads as the host.
            let standard = url::Url::parse(&canonical).unwrap();
            prop_assert_eq!(standard.host_str(), Some(upstream.origin.host.as_str()));
            prop_assert_eq!(standard.port_or_known_default(), Some(upstream.origin.port));
        }
    }

    #[test]
    fn s21_covering_is_overlapping_and_both_agree_with_matching(one in "(\\*\\.)?([ab]\\.){0,2}c", two in "(\\*\\.)?([ab]\\.){0,2}c", host in "([ab]\\.){0,3}c") {
        let (one, two): (HostPattern, HostPattern) = (one.parse().unwrap(), two.parse().unwrap());
        let host = host.parse().unwrap();
        prop_assert_eq!(one.overlaps(&two), two.overlaps(&one));
        prop_assert!(!one.covers(&two) || one.overlaps(&two));
        prop_assert!(!(one.matches(&host) && two.matches(&host)) || one.overlaps(&two));
        prop_assert!(!(one.covers(&two) && two.matches(&host)) || one.matches(&host));
    }
}
