//! Bodies: the first line is the content type, the second the content encoding, the rest the body.

use std::{collections::BTreeMap, sync::LazyLock};

use bulkhead_content::{Budget, Detector, Filter, Media, TopicMatcher, Topics};

static FILTER: LazyLock<Filter> = LazyLock::new(|| {
    let matcher = TopicMatcher { phrases: vec!["project aurora".to_owned()], patterns: Vec::new() };
    let topics = Topics::compile(BTreeMap::from([("aurora".to_owned(), matcher)])).expect("topics");
    Filter::new(Detector::ALL.into_iter().collect(), topics)
});

/// A body that was rewritten holds nothing that is looked for, JSON stays JSON, and one that is not rewritten held none.
pub(crate) fn body(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (kind, coding, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let media = Media::of([kind], Some(coding).filter(|coding| !coding.is_empty()));
    let scanned = FILTER.scan(&media, body, &Budget::default());
    let Ok(redacted) = FILTER.redact(&media, body, &Budget::default()) else { return };
    assert_eq!(scanned.as_ref(), Ok(&redacted.found), "to look is to find the same as to take out");
    match redacted.body {
        None => assert!(redacted.found.pii.is_empty(), "found, and not taken out: {:?}", redacted.found),
        Some(new) => {
            assert!(!redacted.found.pii.is_empty(), "nothing was found, and the body is another one");
            let media = Media::of([kind], None);
            let left = FILTER.scan(&media, &new, &Budget::default()).expect("what was rewritten can be read");
            assert!(left.pii.is_empty(), "left in the new body: {:?}", left.pii);
            if kind.starts_with(b"application/json") {
                assert!(serde_json::from_slice::<serde_json::Value>(&new).is_ok(), "JSON stays JSON");
            }
        }
    }
}
