use proptest::prelude::*;

use super::*;

#[test]
fn tokens_are_used_once_and_not_after_their_time() {
    let mut prepaid = Prepaid::default();
    prepaid.granted(0, 10, 7);
    assert_eq!((prepaid.reserve(1, 3, 3).0, prepaid.reserve(1, 3, 3).0, prepaid.reserve(1, 5, 1).0), (3, 0, 1));
    prepaid.granted(0, 10, 7);
    assert_eq!(prepaid.reserve(KEPT_US, 1, 1), (0, Taken::NONE));
}

#[test]
fn an_empty_bucket_is_not_asked_again_at_once() {
    let mut prepaid = Prepaid::default();
    assert_eq!(prepaid.lacks(5, 2, 1), Some(Wish { now: 2, ahead: 0 }));
    prepaid.dry(100);
    assert_eq!((prepaid.lacks(99, 2, 1), prepaid.lacks(100, 2, 1).is_some()), (None, true));
}

#[test]
fn what_is_asked_for_follows_the_demand() {
    let mut prepaid = Prepaid::default();
    prepaid.granted(0, 1_000, 0);
    prepaid.reserve(1, 1_000, 1);
    assert_eq!(prepaid.lacks(50_000, 1, 1).map(|wish| wish.ahead), Some(1_000));
    assert_eq!(prepaid.lacks(100_000, 1, 1).map(|wish| wish.ahead), Some(500), "an idle replica wants less and less");
    assert_eq!(prepaid.lacks(150_000, 1, 25).map(|wish| wish.ahead), Some(10), "copies, not tokens");
}

#[test]
fn idle_tokens_go_back() {
    let mut prepaid = Prepaid::default();
    prepaid.granted(0, 10, 7);
    prepaid.reserve(1, 4, 1);
    assert_eq!(prepaid.backs(KEPT_US / 2), []);
    assert_eq!(prepaid.backs(KEPT_US / 2 + 1), [Back { unused: 6, held: 10, taken_us: 7 }]);
    assert_eq!(prepaid.reserve(KEPT_US / 2 + 1, 1, 1).0, 0);
}

#[test]
fn what_is_used_up_is_held_no_longer() {
    let mut prepaid = Prepaid::default();
    prepaid.granted(0, 10, 7);
    prepaid.reserve(1, 10, 1);
    assert_eq!(prepaid.backs(2), [Back { unused: 0, held: 10, taken_us: 7 }]);
    assert_eq!(prepaid.backs(KEPT_US), [], "and once");
}

#[test]
fn what_a_denial_gives_back_is_neither_lost_nor_good_for_longer() {
    let mut prepaid = Prepaid::default();
    prepaid.granted(0, 10, 7);
    prepaid.granted(100, 2, 107);
    let (copies, taken) = prepaid.reserve(101, 11, 1);
    assert_eq!((copies, taken), (11, Taken { tokens: 11, taken_us: 7, until: KEPT_US }));
    prepaid.give_back(taken);
    let (copies, taken) = prepaid.reserve(102, 20, 1);
    assert_eq!(copies, 12, "all of them are in hand again");
    prepaid.give_back(taken);
    assert_eq!(prepaid.reserve(KEPT_US, 20, 1).0, 0, "none became younger");
}

proptest! {
    #[test]
    fn each_token_is_used_or_goes_back_and_each_hold_ends(steps in prop::collection::vec((0..5_u8, 0..50_u64, 1..5_u64), 1..100)) {
        let (mut prepaid, mut came, mut used, mut now) = (Prepaid::default(), 0, 0, 0);
        let (mut back, mut released) = (0, 0);
        for (step, number, cost) in steps {
            now += number * 10_000;
            match step {
                0 => { prepaid.granted(now, number, now); came += number; }
                1 => used += u64::from(prepaid.reserve(now, u32::try_from(number).unwrap_or(0), cost).0) * cost,
                2 => {
                    let (_, taken) = prepaid.reserve(now, u32::try_from(number).unwrap_or(0), cost);
                    prepaid.give_back(taken);
                }
                3 => {
                    let (_, taken) = prepaid.reserve(now, 1, cost);
                    prepaid.unneeded(taken);
                }
                _ => for one in prepaid.backs(now) {
                    back += one.unused;
                    released += one.held;
                }
            }
            prop_assert!(used + back <= came);
            prop_assert!(released <= came);
        }
        let all_came = came;
        for one in prepaid.backs(now + 2 * KEPT_US) {
            back += one.unused;
            released += one.held;
        }
        prop_assert_eq!((used + back, released), (all_came, all_came));
    }
}
