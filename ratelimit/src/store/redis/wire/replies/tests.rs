//! Whatever a store answers is read or refused (S12).

use std::sync::Arc;

use bulkhead_tenancy::{
    calendar::{Calendar, Per},
    limit::RateLimit,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    ask::Ahead,
    bucket::{CalendarQuota, Sliding, Window},
    charge::{Charge, Scope, Shape},
    key::Keyspace,
};

/// Doubles that arithmetic stumbles over, and any bytes.
fn reply() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            9_007_199_254_740_992.0,
            -9_007_199_254_740_992.0,
            1e15,
        ]),
        any::<f64>(),
    ];
    let part = prop_oneof![
        4 => number.prop_map(|number: f64| number.to_le_bytes().to_vec()),
        4 => (-4_i16..10_001).prop_map(|state| f64::from(state).to_le_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..9),
    ];
    vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn ask(count: u32) -> Ask {
    let (keys, uid) = (Keyspace::default(), "u".parse().unwrap());
    let calendar = Calendar::new(Per::Month, None, "Europe/Berlin").unwrap();
    let token = || Bucket::token(RateLimit::per_minute(600, 2.0));
    let shape = Shape::new()
        .shared(keys.global(), token(), Some((keys.guarantee(&uid), token())))
        .hold(Scope::Tenant, keys.tenant(&uid), Bucket::Sliding(Sliding::new(10, 3_600_000_000)))
        .hold(Scope::Tenant, keys.quota(&uid, "a"), Bucket::Calendar(CalendarQuota::new(10, calendar)))
        .count(Scope::Tenant, keys.quota(&uid, "b"), Bucket::Window(Window::new(10, 1_000_000)));
    Ask { count, ahead: Some(Ahead::of(100, 2, 1_000_000)), ..Ask::one(Charge::of(Arc::new(shape), 3)) }
}

proptest! {
    #[test]
    fn s12_every_reply_is_read_or_refused(reply in reply(), count in 1_u32..10_000, copy in any::<u32>()) {
        let ask = ask(count);
        if let Ok(mut replies) = Replies::read(&reply) {
            while let Ok(read) = replies.answer(&ask) {
                if let Reply::Answer(answer) = read {
                    let _ = answer.outcome(&ask.charge, copy).denial();
                    prop_assert!(answer.admitted <= count && answer.ahead <= 100);
                    let _ = answer.left(&ask.charge);
                }
            }
            let _ = replies.end();
        }
        if let Ok(mut replies) = Replies::read(&reply) {
            while replies.done().is_ok() {}
        }
    }
}
