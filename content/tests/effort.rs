//! S5: no document keeps a processor longer than its budget, and none costs more than in proportion to its length. Steps are counted, not time.

use bulkhead_content::{Budget, Filter, Media, Room, Unscannable};
use proptest::prelude::*;

#[path = "effort/documents.rs"]
mod documents;

use documents::{DOCUMENTS, Hostile, document, filter};

/// The most that a byte may cost, in steps: nine tenths of these documents stay below a quarter of it.
const A_BYTE: u64 = 1_000;
/// What any body may cost, however short it is, in steps.
const AT_ALL: u64 = 20_000;

/// The steps that a document takes.
fn steps(filter: &Filter, (_, content_type, _): Hostile, body: &str) -> u64 {
    let budget = Budget::new(u64::MAX);
    let _ = filter.redact(&Media::of([content_type.as_bytes()], None), body.as_bytes(), &budget);
    budget.spent()
}

#[test]
fn s5_no_document_costs_more_than_in_proportion_to_its_length() {
    let filter = filter();
    assert_eq!(filter.topics().labels().count(), 2);
    for hostile in DOCUMENTS {
        let of = |bytes: usize| {
            let body = document(hostile, bytes);
            (steps(&filter, hostile, &body), body.len() as u64)
        };
        let ((small, _), (large, bytes)) = (of(20_000), of(80_000));
        assert!(large <= A_BYTE * bytes + AT_ALL, "{}: {} steps a byte", hostile.0, large / bytes);
        assert!(large <= small * 9 / 2 + AT_ALL, "{}: {small} steps, of four times as much {large}", hostile.0);
    }
}

#[test]
fn s5_what_a_detector_does_at_some_places_only_is_counted_too() {
    let filter = filter();
    for (what, a_byte) in [
        ("numbers of two digits", 300),
        ("words that may be an id", 30),
        ("heads of IBANs", 70),
        ("addresses", 45),
        ("hexadecimal", 90),
        ("names of secrets", 12),
        ("bearers", 20),
        ("authorities", 90),
        ("begins of keys", 28),
        ("words of a topic", 300),
    ] {
        let hostile = *DOCUMENTS.iter().find(|one| one.0 == what).unwrap();
        let body = document(hostile, 20_000);
        let taken = steps(&filter, hostile, &body) / body.len() as u64;
        assert!(taken >= a_byte, "{what}: {taken} steps a byte");
    }
}

#[test]
fn s5_whatever_is_read_stops_where_its_budget_does() {
    let filter = filter();
    for hostile in DOCUMENTS {
        let body = document(hostile, 20_000);
        let media = Media::of([hostile.1.as_bytes()], None);
        let all = steps(&filter, hostile, &body);
        for part in [0, all / 7, all / 2, all - 1] {
            let budget = Budget::new(part);
            assert_eq!(
                filter.redact(&media, body.as_bytes(), &budget).map(drop),
                Err(Unscannable::Effort),
                "{} at {part} of {all}",
                hostile.0
            );
        }
        assert_ne!(filter.redact(&media, body.as_bytes(), &Budget::new(all)).map(drop), Err(Unscannable::Effort));
        let over = Budget::default().until(std::time::Instant::now());
        assert_eq!(filter.scan(&media, body.as_bytes(), &over).map(drop), Err(Unscannable::Effort));
        assert_eq!(filter.glance(&media, body.as_bytes(), &over).map(drop), Err(Unscannable::Effort), "nor does it pass unread");
        assert_eq!(filter.scan_path(&body, &over).map(drop), Err(Unscannable::Effort));
        assert_eq!(filter.scan_query(&body, &over).map(drop), Err(Unscannable::Effort));
    }
}

/// So many bytes, and no more.
struct Bytes(std::cell::Cell<usize>);

impl Room for Bytes {
    fn take(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }
}

#[test]
fn s5_what_reading_holds_is_taken_from_the_room_that_there_is() {
    let filter = filter();
    for hostile in DOCUMENTS {
        let body = document(hostile, 20_000);
        let media = Media::of([hostile.1.as_bytes()], None);
        let budget = Budget::default();
        let _ = filter.redact(&media, body.as_bytes(), &budget);
        let peak = budget.peak();
        assert!(peak <= 110 * body.len(), "{}: {peak} bytes for {}", hostile.0, body.len());
        if peak > 0 {
            let room = Bytes(std::cell::Cell::new(peak - 1));
            assert_eq!(
                filter.redact(&media, body.as_bytes(), &Budget::default().within(&room)).map(drop),
                Err(Unscannable::Crowded),
                "{}",
                hostile.0
            );
        }
        let room = Bytes(std::cell::Cell::new(peak));
        assert_ne!(filter.redact(&media, body.as_bytes(), &Budget::default().within(&room)).map(drop), Err(Unscannable::Crowded));
    }
}

#[test]
fn s5_what_comes_out_of_a_coding_is_counted_while_it_does() {
    let bomb = {
        let mut plain: &[u8] = &vec![b' '; 4 << 20];
        let mut out = Vec::new();
        brotli::BrotliCompress(&mut plain, &mut out, &brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() }).unwrap();
        out
    };
    let media = Media::of([b"text/plain".as_slice()], [b"br".as_slice()]);
    let room = Bytes(std::cell::Cell::new(1 << 20));
    assert_eq!(filter().scan(&media, &bomb, &Budget::default().within(&room)).map(drop), Err(Unscannable::Crowded));
    assert_eq!(filter().scan(&media, &bomb, &Budget::new(1 << 20)).map(drop), Err(Unscannable::Effort));
    // Members, or frames, that hold nothing cost as well.
    let empty = ruzstd::encoding::compress_to_vec([].as_slice(), ruzstd::encoding::CompressionLevel::Fastest).repeat(10_000);
    let media = Media::of([b"text/plain".as_slice()], [b"zstd".as_slice()]);
    assert_eq!(filter().scan(&media, &empty, &Budget::new(1 << 25)).map(drop), Err(Unscannable::Effort));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn s5_no_mixture_costs_more_either(
        pieces in prop::collection::vec((prop::sample::select(&DOCUMENTS[..]), 1_usize..40), 1..40),
        content_type in prop::sample::select(vec!["text/plain", "text/html", "application/json", "application/x-www-form-urlencoded", "text/event-stream"]),
    ) {
        let body: String = pieces.iter().map(|((_, _, piece), times)| piece.repeat(*times)).collect();
        let body = if content_type == "application/json" { serde_json::json!([body]).to_string() } else { body };
        let taken = steps(&filter(), ("", content_type, ""), &body);
        // What is behind backslashes is read again, and so is what was rewritten: five times and four times at the most.
        prop_assert!(taken <= 20 * A_BYTE * body.len() as u64 + AT_ALL, "{} steps a byte", taken / body.len() as u64);
    }
}
