use bulkhead_proto::pb::{envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry, google::protobuf::UInt64Value};
use proptest::prelude::*;

use super::*;

fn descriptor() -> impl Strategy<Value = RateLimitDescriptor> {
    let text = || prop_oneof![Just("tenant".to_owned()), any::<String>()];
    let entries = prop::collection::vec((text(), text()).prop_map(|(key, value)| Entry { key, value }), 0..6);
    let limit = prop::option::of(any::<(u32, i32)>().prop_map(|(requests_per_unit, unit)| RateLimitOverride { requests_per_unit, unit }));
    let hits = prop::option::of(any::<u64>().prop_map(|value| UInt64Value { value }));
    (entries, limit, hits, any::<bool>()).prop_map(|(entries, limit, hits_addend, is_negative_hits)| RateLimitDescriptor {
        entries,
        limit,
        hits_addend,
        is_negative_hits,
    })
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let descriptors = prop::collection::vec(descriptor(), 0..4);
    (any::<String>(), descriptors, any::<u32>())
        .prop_map(|(domain, descriptors, hits_addend)| RateLimitRequest { domain, descriptors, hits_addend }.encode_to_vec())
}

fn is_read_as_the_generated_code_reads_it(message: &[u8]) {
    let expected = RateLimitRequest::decode(message);
    let expected = expected.as_ref().map(Question::from).map_err(|_| Unreadable);
    assert_eq!(Question::read(message), expected, "{}", hex::encode(message));
}

proptest! {
    /// Whole messages, two one after the other (what stands twice is one), and messages of which bytes were altered, left out and doubled.
    #[test]
    fn a_request_is_what_the_generated_code_reads(
        first in message(),
        second in message(),
        alterations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4),
    ) {
        is_read_as_the_generated_code_reads_it(&first);
        let mut both = [first, second].concat();
        is_read_as_the_generated_code_reads_it(&both);
        for (place, byte, how) in alterations {
            if both.is_empty() {
                break;
            }
            let place = place.index(both.len());
            match how {
                0 => both[place] = byte,
                1 => drop(both.remove(place)),
                _ => both.insert(place, byte),
            }
            is_read_as_the_generated_code_reads_it(&both);
        }
    }

    #[test]
    fn bytes_that_are_no_request_are_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        is_read_as_the_generated_code_reads_it(&bytes);
    }
}

#[test]
fn what_stands_twice_is_read_as_one() {
    // Hits of a descriptor: 7, then a message that says nothing, then a number too large for them in the request.
    let descriptor = [0x1a, 2, 0x08, 7, 0x1a, 0];
    let message = [&[0x12, 6][..], &descriptor, &[0x18, 0x85, 0x80, 0x80, 0x80, 0x10]].concat();
    is_read_as_the_generated_code_reads_it(&message);
    let question = Question::read(&message).unwrap();
    assert_eq!((question.hits, question.descriptors[0].hits), (5, Some(7)));
}

#[test]
fn every_message_of_two_bytes_is_what_the_generated_code_reads() {
    for message in 0..=u16::MAX {
        is_read_as_the_generated_code_reads_it(&message.to_be_bytes());
    }
}
