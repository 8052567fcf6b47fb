//! Answers that are lost, and leases that end with their window.

use super::*;
use crate::bucket::Sliding;

/// A store that takes what it is asked for in advance, and whose answers to that do not come.
#[derive(Default)]
struct Deaf {
    /// When, and how many copies.
    taken: Vec<(u64, u64)>,
}

impl Deaf {
    /// A second of a claim that asks every 20 ms: what comes without anything in advance is answered.
    fn second(&mut self, world: &mut World, claim: &Claim, deaf: bool) {
        for step in 0..50 {
            match world.book.request(claim, world.now_us) {
                Step::Done(answer) => assert_eq!(answer.admitted, 1),
                Step::Ask(ahead) => {
                    let answer = world.store.answer(world.store_us(), &Ask::of(claim.charge(), 1, ahead));
                    if deaf && ahead.is_some() {
                        self.taken.push((world.now_us, u64::from(answer.ahead)));
                        world.book.abandoned(claim, ahead, world.now_us);
                    } else {
                        world.book.answered(claim, ahead, world.now_us, answer, world.now_us);
                    }
                }
            }
            world.now_us += 20_000;
            if step % 5 == 0 {
                let mut dues = world.book.tick(world.now_us);
                for (claim, ahead) in dues.renewals.drain(..).collect::<Vec<_>>() {
                    let answer = world.store.answer(world.store_us(), &claim.renewal(ahead));
                    if deaf {
                        self.taken.push((world.now_us, u64::from(answer.ahead)));
                        world.book.abandoned(&claim, Some(ahead), world.now_us);
                    } else {
                        world.book.renewed(&claim, world.now_us, &answer, world.now_us);
                    }
                }
                world.settle(dues);
            }
        }
    }
}

#[test]
fn what_is_taken_and_does_not_come_is_at_most_two_leases_until_an_answer_comes() {
    let (mut world, mut deaf) = (World::new(), Deaf::default());
    let claim = World::claim(&shape(limit(1_000, 100_000)), 1);
    (0..12).for_each(|_| deaf.second(&mut world, &claim, false));
    assert!(world.book.in_hand() > 50, "{} in hand", world.book.in_hand());
    (0..60).for_each(|_| deaf.second(&mut world, &claim, true));
    let (first, all) = (deaf.taken[0].1, deaf.taken.iter().map(|(_, copies)| copies).sum::<u64>());
    assert!(first > 100, "{:?}", deaf.taken);
    assert!(all <= 2 * first + 2 * deaf.taken.len() as u64, "{:?}", deaf.taken);
    let within = deaf.taken.iter().filter(|(at_us, _)| *at_us > deaf.taken[0].0 + 2 * LOST_US).count();
    assert!(deaf.taken.len() <= 16 && within > 1, "it is tried again, and seldom: {:?}", deaf.taken);
    (0..12).for_each(|_| deaf.second(&mut world, &claim, false));
    assert!(world.book.in_hand() > 50, "leases are what they were: {} in hand", world.book.in_hand());
}

#[test]
fn what_was_surely_not_taken_is_asked_for_again_soon() {
    let mut world = World::new();
    let claim = World::claim(&shape(limit(1_000, 100_000)), 1);
    (0..200).for_each(|_| assert!(world.request(&claim)));
    for _ in 0..20 {
        world.now_us += DENIED_US;
        let ahead = loop {
            if let Step::Ask(ahead) = world.book.request(&claim, world.now_us) {
                break ahead;
            }
        };
        assert!(ahead.is_some());
        world.book.undone(&claim, ahead, world.now_us);
    }
}

#[test]
fn a_lease_that_ends_with_its_window_is_not_taken_again_in_it() {
    // Slices of a second.
    for bucket in [Bucket::Sliding(Sliding::new(1_000_000, 60_000_000)), Bucket::Window(Window::new(1_000_000, 1_000_000))] {
        let mut world = World::new();
        let claim = World::claim(&shape(bucket.clone()), 1);
        for number in 0..1_000 {
            assert!(world.request(&claim));
            assert!(world.book.in_hand() <= 90, "{bucket:?}: {} in hand", world.book.in_hand());
            world.now_us += 20_000;
            if number % 5 == 0 {
                world.pass(0);
            }
        }
        assert!(world.asked + world.renewed <= 60, "{bucket:?}: {} asks and {} renewals in 20 slices", world.asked, world.renewed);
    }
}
