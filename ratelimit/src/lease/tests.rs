//! One replica's book against the model of the store, moment by moment.

mod lost;
mod many;

use std::sync::Arc;

use bulkhead_tenancy::{
    clock::SystemClock,
    limit::{Rate, RateLimit},
    name::TenantUid,
};

use super::*;
use crate::{
    bucket::{Bucket, Window},
    charge::Scope,
    key::Keyspace,
    store::{Adjustment, Change, Micros, memory::MemoryStore},
};

const START: u64 = 1_700_000_000_000_000;

/// A replica, and a store whose clock shows another time than its own.
struct World {
    book: Book,
    store: MemoryStore,
    now_us: u64,
    asked: u32,
    renewed: u32,
    unreturned: unreturned::Waiting,
    returned: u32,
    tallied: (u64, u64),
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let (book, unreturned) = (Book::default(), unreturned::Waiting::default());
        Self { book, store, now_us: 1, asked: 0, renewed: 0, unreturned, returned: 0, tallied: (0, 0) }
    }

    fn claim(shape: &Arc<Shape>, cost: u64) -> Claim {
        Claim::of(&Ask::one(Charge::of(Arc::clone(shape), cost))).unwrap()
    }

    fn store_us(&self) -> Option<Micros> {
        Some(Micros(START + self.now_us))
    }

    fn request(&mut self, claim: &Claim) -> bool {
        match self.book.request(claim, self.now_us) {
            Step::Done(answer) => answer.admitted == 1,
            Step::Ask(ahead) => {
                self.asked += 1;
                let answer = self.store.answer(self.store_us(), &Ask::of(claim.charge(), 1, ahead));
                self.book.answered(claim, ahead, self.now_us, answer, self.now_us).admitted == 1
            }
        }
    }

    fn pass(&mut self, by_us: u64) {
        self.now_us += by_us;
        let dues = self.book.tick(self.now_us);
        self.settle(dues);
    }

    fn settle(&mut self, dues: Dues) {
        for one in self.unreturned.due(dues.returns, self.now_us) {
            assert!(matches!(one.adjustment.change, Change::Return { .. }));
            assert!(self.store.adjust_one(START + self.now_us, &one.adjustment));
            self.returned += 1;
        }
        for (claim, ahead) in dues.renewals {
            self.renewed += 1;
            let answer = self.store.answer(self.store_us(), &claim.renewal(ahead));
            self.book.renewed(&claim, self.now_us, &answer, self.now_us);
        }
        for tally in dues.tallies {
            self.tallied = (self.tallied.0 + tally.admitted, self.tallied.1 + tally.denied);
        }
    }

    /// What another replica would be admitted now.
    fn left(&self, claim: &Claim) -> u32 {
        let probe = self.store.fork();
        probe.answer(self.store_us(), &Ask::of(claim.charge(), 100_000, None)).admitted
    }
}

fn uid() -> TenantUid {
    "acme".parse().unwrap()
}

fn limit(a_second: u64, capacity: u64) -> Bucket {
    Bucket::token(RateLimit { rate: Rate { requests: a_second, period_us: 1_000_000 }, capacity })
}

fn shape(bucket: Bucket) -> Arc<Shape> {
    let keys = Keyspace::default();
    let shape = Shape::new().hold(Scope::Tenant, keys.tenant(&uid()), bucket).metered(keys.meter(&uid(), None, None));
    Arc::new(shape.leased(4))
}

#[test]
fn what_found_the_store_away_is_told_again_for_as_long_as_it_is_worth_it() {
    let (keys, mut waiting) = (Keyspace::default(), unreturned::Waiting::default());
    let of = |bucket: &Bucket| {
        let adjustment = Adjustment { key: keys.tenant(&uid()), bucket: bucket.clone(), change: Change::Reset };
        Ended { adjustment, spare: 0 }
    };
    let (token, window) = (limit(1, 1), Bucket::Window(Window::new(1, 60_000_000)));
    for one in waiting.due(vec![of(&token), of(&window)], 0) {
        assert!(waiting.keep(&one, 0));
    }
    assert!(waiting.due(Vec::new(), 999_999).is_empty(), "the store is left alone");
    let again = waiting.due(Vec::new(), 1_000_000);
    assert_eq!(again.len(), 2);
    again.into_iter().for_each(|one| assert!(waiting.keep(&one, 1_000_000)));
    let again: Vec<Bucket> = waiting.due(Vec::new(), 2 * HOLD_US).into_iter().map(|one| one.adjustment.bucket).collect();
    assert_eq!(again, [window], "the store has forgotten what was held");
    let many: Vec<Ended> = std::iter::repeat_with(|| of(&token)).take(2_000).collect();
    let kept = waiting.due(many, 10_000_000).into_iter().filter(|one| waiting.keep(one, 10_000_000)).count();
    assert_eq!(kept, 1_024);
}

#[test]
fn who_asks_often_takes_more_and_more_in_advance_and_asks_the_store_less() {
    let mut world = World::new();
    let claim = World::claim(&shape(limit(10_000, 100_000)), 1);
    let asked = |world: &mut World| {
        let before = world.asked;
        for _ in 0..10_000 {
            assert!(world.request(&claim));
            world.now_us += 100;
        }
        world.pass(0);
        world.asked - before
    };
    let (first, later) = (asked(&mut world), asked(&mut world));
    assert!(first < 40 && later < 12, "{first} and {later} calls for 10,000 requests");
}

#[test]
fn who_asks_a_few_times_a_second_is_leased_what_it_asks_in_seconds() {
    let mut world = World::new();
    let claim = World::claim(&shape(limit(100, 1_000)), 1);
    let asked = |world: &mut World| {
        let before = world.asked;
        for _ in 0..90 {
            assert!(world.request(&claim));
            assert!(world.book.in_hand() <= 30, "{} in hand", world.book.in_hand());
            world.pass(333_333);
        }
        world.asked - before
    };
    let (first, later) = (asked(&mut world), asked(&mut world));
    assert!(first <= 9 && later <= 6, "{first} and {later} calls for 90 requests in 30 seconds");
}

#[test]
fn who_asks_seldom_is_decided_exactly() {
    let mut world = World::new();
    let claim = World::claim(&shape(limit(10, 100)), 1);
    for _ in 0..20 {
        assert!(world.request(&claim));
        world.pass(9_000_000);
    }
    assert_eq!((world.asked, world.book.in_hand()), (20, 0));
}

#[test]
fn where_little_is_left_leases_are_small_and_soon_come_back() {
    let mut world = World::new();
    // A thousand requests in a second, before a bucket that refills no more than a few.
    let claim = World::claim(&shape(limit(4, 400)), 1);
    let mut most = (0, 0);
    while world.request(&claim) {
        let (hand, left) = (world.book.in_hand(), u64::from(world.left(&claim)));
        most = (most.0.max(hand), if left < 32 { most.1.max(hand) } else { most.1 });
        assert!(hand <= 2 * (left + hand) / 4 + 2, "{hand} in hand, and {left} left");
        world.now_us += 1_000;
    }
    assert!(most.0 >= 16 && most.1 <= 12, "{most:?} in hand at most, and when little was left");
    // One that took a quarter of what there was, and one that took a sixteenth.
    for (share, waits_us) in [(4, IDLE_US), (16, PATIENT_US)] {
        let mut world = World::new();
        let claim = World::claim(&shape(limit(1, 800)), 1);
        assert!(matches!(world.book.request(&claim, 1), Step::Ask(None)));
        let ahead = Some(Ahead::of(1_000, share, HOLD_US));
        let answer = world.store.answer(world.store_us(), &Ask::of(claim.charge(), 1, ahead));
        world.book.answered(&claim, ahead, 1, answer, 1);
        world.pass(waits_us - 1_000);
        assert!(world.book.in_hand() > 0, "one in {share}");
        world.pass(101_000);
        assert_eq!(world.book.in_hand(), 0, "one in {share}");
    }
}

#[test]
fn what_is_idle_comes_back_and_so_does_everything_at_the_end() {
    for end in [false, true] {
        let mut world = World::new();
        let claim = World::claim(&shape(limit(1, 1_000)), 2);
        for _ in 0..50 {
            assert!(world.request(&claim));
        }
        assert!(world.book.in_hand() > 0 && world.left(&claim) < 450);
        if end {
            let dues = world.book.drain();
            world.settle(dues);
            assert!(matches!(world.book.request(&claim, world.now_us), Step::Ask(None)), "nothing more is taken");
        } else {
            world.pass(PATIENT_US + 100_000);
        }
        assert_eq!((world.book.in_hand(), world.left(&claim)), (0, if end { 450 } else { 452 }));
    }
}

#[test]
fn a_lease_ends_before_the_store_forgets_it() {
    let mut world = World::new();
    let claim = World::claim(&shape(limit(100, 100)), 1);
    let mut admitted = 0;
    while world.book.in_hand() < 4 {
        admitted += u32::from(world.request(&claim));
    }
    world.now_us += HOLD_US - HOLD_US / 16 - 1;
    let held = u32::try_from(world.book.in_hand()).unwrap();
    assert!(world.left(&claim) + held <= 100, "the bucket is full, less what is held");
    world.now_us += 1;
    let before = world.asked;
    assert!(world.request(&claim));
    assert!(admitted > 0 && world.asked == before + 1, "it is asked for anew");
}

#[test]
fn a_windows_copies_end_with_the_window() {
    let mut world = World::new();
    world.now_us = 999_000;
    let claim = World::claim(&shape(Bucket::Window(Window::new(1_000, 1_000_000))), 1);
    let mut admitted = 0;
    while world.now_us < 1_000_000 {
        admitted += u32::from(world.request(&claim));
        world.now_us += 1;
    }
    assert_eq!((admitted, world.left(&claim)), (1_000, 1_000), "the next window is whole");
    for _ in 0..100 {
        assert!(world.request(&claim));
    }
    assert!(world.left(&claim) <= 900, "each was paid in its own window");
}

#[test]
fn a_denial_is_answered_here_until_its_wait_is_over_and_all_is_counted_once() {
    let mut world = World::new();
    let claim = World::claim(&shape(limit(100, 20)), 1);
    let admitted = (0..500).filter(|_| world.request(&claim)).count();
    assert_eq!(admitted, 20);
    assert!(world.asked < 30, "{} calls", world.asked);
    world.pass(10_000);
    assert!(world.request(&claim), "the wait that the store told is over");
    world.pass(entry::TALLIED_US + 200_000);
    let metered = &world.store.lines(&uid());
    assert_eq!((metered.0 + world.tallied.0, metered.1 + world.tallied.1), (21, 480));
}

#[test]
fn what_is_in_hand_answers_while_the_store_is_away() {
    let mut world = World::new();
    let claim = World::claim(&shape(limit(1, 1_000)), 1);
    while world.book.in_hand() < 50 {
        assert!(world.request(&claim));
    }
    let mut answered = 0;
    for _ in 0..200 {
        answered += match world.book.request(&claim, world.now_us) {
            Step::Done(answer) => answer.admitted,
            Step::Ask(ahead) => world.book.failed(&claim, ahead, world.now_us).map_or(0, |answer| answer.admitted),
        };
    }
    assert!(answered >= 50 && world.book.in_hand() == 0);
}

#[test]
fn whoever_is_inside_its_guarantee_finds_it_whatever_replicas_hold() {
    let keys = Keyspace::default();
    let mut world = World::new();
    let guarantee = (keys.guarantee(&uid()), limit(1, 30));
    let shape =
        Shape::new().shared(keys.global(), limit(1, 1_000), Some(guarantee)).hold(Scope::Tenant, keys.tenant(&uid()), limit(1, 10_000));
    let claim = World::claim(&Arc::new(shape.leased(2)), 1);
    while world.book.in_hand() < 40 {
        assert!(world.request(&claim));
    }
    let (hand, asked) = (world.book.in_hand(), u64::from(world.asked));
    // Others take all that global has left.
    let others = Charge::new().hold(Scope::Tenant, keys.global(), limit(1, 1_000), 1);
    assert!(world.store.answer(world.store_us(), &Ask::of(others, 1_000, None)).admitted > 0);
    assert_eq!(u64::from(world.left(&claim)), 30 - asked, "each request that came to the store, and none that is in hand");
    let dues = world.book.drain();
    world.settle(dues);
    assert_eq!(u64::from(world.left(&claim)), hand, "the guarantee pays first, and global with it");
}

#[test]
fn only_one_charge_of_one_leased_shape_is_leased() {
    let leased = shape(limit(1, 1));
    let exact = Arc::new(Shape::new().hold(Scope::Tenant, Keyspace::default().tenant(&uid()), limit(1, 1)));
    let counting = Shape::new().count(Scope::Tenant, Keyspace::default().tenant(&uid()), limit(1, 1)).leased(2);
    let mut two = Charge::of(Arc::clone(&leased), 1);
    two.append(Charge::of(Arc::clone(&leased), 1));
    for charge in [Charge::of(exact, 1), Charge::of(Arc::clone(&leased), 0), Charge::of(Arc::new(counting), 1), two, Charge::new()] {
        assert_eq!(Claim::of(&Ask::one(charge)), None);
    }
    let several = Ask::of(Charge::of(leased, 1), 2, None);
    assert_eq!(Claim::of(&several), None);
}

#[test]
fn a_look_tells_what_is_answered_from_the_hand_and_uses_nothing() {
    let (mut world, claim) = (World::new(), World::claim(&shape(limit(30, 400)), 2));
    let payer = Keyspace::default().account(&uid());
    let (mut from_hand, mut denied) = (0, 0);
    for step in 0..2_000_u64 {
        world.pass([200, 900, 0, 3_000, 40_000, 250_000][(step % 97 % 6) as usize]);
        let looked = world.book.look(&claim, world.now_us);
        assert_eq!(looked, world.book.look(&claim, world.now_us));
        assert_eq!(world.book.held_of(Some(&payer), world.now_us), 2 * world.book.in_hand());
        assert_eq!(world.book.held_of(None, world.now_us), 0, "another's");
        match (looked, world.book.request(&claim, world.now_us)) {
            (Some(looked), Step::Done(answer)) => {
                from_hand += answer.admitted;
                denied += 1 - answer.admitted;
                assert_eq!(looked, answer, "{step}");
            }
            (looked, Step::Ask(ahead)) => {
                assert!(looked.is_none_or(|looked| looked.admitted == 1), "what is in hand answers if the store does not");
                let answer = world.store.answer(world.store_us(), &Ask::of(claim.charge(), 1, ahead));
                world.book.answered(&claim, ahead, world.now_us, answer, world.now_us);
            }
            (None, Step::Done(answer)) => panic!("{step}: {answer:?}"),
        }
    }
    assert!(from_hand > 20 && denied > 20, "{from_hand} from the hand, {denied} denied");
}
