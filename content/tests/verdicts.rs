//! What is found in a body, and what of it is taken out, stays what it is, however it is looked for: every verdict and every rewritten body over documents
//! that a seed makes, as one figure for each type. A figure that changes is a change of what is found: it is to be meant, and told.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a generator may stop at its own mistake")]

use bulkhead_content::{Budget, Detector, Filter, Media, TopicMatcher, Topics};

mod corpus;
#[path = "verdicts/documents.rs"]
mod documents;

use corpus::Random;
use documents::{TYPES, document};

/// The figures, a type each.
const FIGURES: [u64; TYPES.len()] = [
    0x8586_4fd7_2198_e388,
    0x2b9e_f8e9_f163_03c6,
    0xced5_7f66_2920_33f5,
    0x87b0_8dba_cc01_5c1b,
    0x327e_326a_9cac_578d,
    0xa5df_73d3_d6a4_54da,
    0x6444_83af_8b55_0098,
    0x32c7_e617_b446_bad7,
];

fn filters() -> [Filter; 3] {
    let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    let matcher = |phrases: &[&str], patterns: &[&str]| TopicMatcher { phrases: owned(phrases), patterns: owned(patterns) };
    let topics = |marks: &[&str]| {
        let topics = [
            ("rivals".to_owned(), matcher(&["Initech", "Hooli Corp", "竞争对手", "Straße 9"], &[])),
            ("prices".to_owned(), matcher(&["price floor"], &[r"\bmargin\s+\d+%"])),
            ("marks".to_owned(), matcher(&["край"], marks)),
        ];
        Topics::compile(topics.into()).unwrap()
    };
    [
        Filter::new([].into(), topics(&[r"\b1\d+7\b", "[^ ]{9}x", r"n\B[0-9]"])),
        Filter::new(Detector::ALL.into(), Topics::default()),
        Filter::new(Detector::ALL.into(), topics(&[r"^[a-f0-9]{6}", r"\b1\d+$"])),
    ]
}

/// FNV-1a.
fn stir(figure: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(figure, |figure, byte| (figure ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn what_is_found_and_taken_out_stays_the_same() {
    let filters = filters();
    let mut seen = [0_usize; 3];
    let figures = TYPES.map(|content_type| {
        let mut random = Random::new(content_type.len() as u64);
        let media = Media::of([content_type.as_bytes()], None);
        (0..1500).fold(0xcbf2_9ce4_8422_2325, |figure, nth| {
            let body = document(content_type, &mut random);
            let filter = &filters[nth % 3];
            let found = filter.scan(&media, body.as_bytes(), &Budget::default());
            let redacted = filter.redact(&media, body.as_bytes(), &Budget::default());
            seen[0] += usize::from(found.is_err());
            seen[1] += usize::from(found.as_ref().is_ok_and(|found| *found != bulkhead_content::Found::default()));
            seen[2] += usize::from(redacted.as_ref().is_ok_and(|redacted| redacted.body.is_some()));
            let figure = stir(stir(figure, format!("{found:?}").as_bytes()), format!("{redacted:?}").as_bytes());
            stir(figure, redacted.ok().and_then(|redacted| redacted.body).unwrap_or_default().as_slice())
        })
    });
    assert_eq!(figures.map(|figure| format!("{figure:#x}")), FIGURES.map(|figure| format!("{figure:#x}")));
    // Documents that show nothing, or cannot be read, would prove nothing.
    assert!(seen[0] < 3000 && seen[1] > 5000 && seen[2] > 2000, "{seen:?}");
}
