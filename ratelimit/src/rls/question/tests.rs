use bulkhead_proto::pb::{
    envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::{Entry, RateLimitOverride},
    google::protobuf::UInt64Value,
};
use proptest::prelude::*;
use prost::Message as _;

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

/// A group of a field that nobody knows, so many levels deep.
fn groups(levels: usize) -> Vec<u8> {
    [vec![0x7b; levels], vec![0x7c; levels]].concat()
}

/// A message as field of another: they are shorter than 16 KiB.
fn field(number: u8, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    let [low, high] = [length as u8 | 0x80, (length >> 7) as u8];
    [&[number << 3 | 2, low, high], message].concat()
}

#[test]
fn groups_may_be_as_deep_as_the_generated_code_takes_them_wherever_they_stand() {
    for levels in 95..=103 {
        let group = groups(levels);
        is_read_as_the_generated_code_reads_it(&group);
        is_read_as_the_generated_code_reads_it(&field(2, &group));
        for inner in 1..=3 {
            is_read_as_the_generated_code_reads_it(&field(2, &field(inner, &group)));
        }
    }
}

#[test]
fn fields_that_nobody_knows_are_left_out_in_groups_too() {
    // Of each type: a number, 64 bits, bytes, a group, 32 bits.
    let all = [&[0x78, 0x80, 1, 0x79][..], &[0; 8], &[0x7a, 2, 0, 0, 0x7b, 0x7c, 0x7d], &[0; 4]].concat();
    let group = [&[0x73], all.as_slice(), &[0x74]].concat();
    for message in [all, group] {
        for length in 0..=message.len() {
            is_read_as_the_generated_code_reads_it(&message[..length]);
            is_read_as_the_generated_code_reads_it(&field(2, &field(2, &message[..length])));
        }
    }
}

#[test]
fn descriptors_beyond_the_most_are_read_and_not_kept() {
    let flood = [0x12, 0].repeat(30_000);
    let question = Question::read(&flood).unwrap();
    assert_eq!(question.descriptors.len(), KEPT);
    assert!(question.descriptors.capacity() < 2 * KEPT && question.descriptors.iter().all(|empty| empty.entries.capacity() == 0));
    let broken = [flood, vec![0x12, 1, 0x0a]].concat();
    assert_eq!(Question::read(&broken), Err(Unreadable), "what is not kept must be a descriptor all the same");
}

#[test]
fn the_domain_is_told_without_the_rest() {
    let request = RateLimitRequest { domain: "bulkhead".to_owned(), ..RateLimitRequest::default() }.encode_to_vec();
    let other = RateLimitRequest { domain: "other".to_owned(), ..RateLimitRequest::default() }.encode_to_vec();
    assert_eq!(Question::domain(&[other, field(2, &[1, 1]), request.clone()].concat()), Ok("bulkhead"));
    assert_eq!(Question::domain(&[]), Ok(""));
    assert_eq!(Question::domain(&request[1..]), Err(Unreadable));
}
