//! What was charged and what was told add up at a meter, which holds no more than a bill needs.

use bulkhead_ratelimit::store::{METER_DAY_FIELDS, METER_FIELDS};

use super::*;

#[test]
fn tallies_and_charges_add_up_at_one_meter() {
    let stores = Stores::start();
    for (name, store) in stores.both() {
        let keys = own_keys();
        let shape = shape(&keys, &(0, None, false, vec![(0, 5)], None));
        let ask = Ask::of(Charge::of(Arc::clone(&shape), 2), 4, None);
        assert_eq!(stores.decide(store, START, &[ask])[0].admitted, 2);
        let tally = Tally { meter: shape.meter().unwrap().clone(), admitted: 10, denied: 100 };
        stores.runtime.block_on(store.ledger().tally(Some(Micros(START)), &[tally])).remove(0).unwrap();
        let account = keys.account(&uid(0));
        let lines = stores.runtime.block_on(store.ledger().metered(&account, Hour::of(Micros(START)))).unwrap();
        assert_eq!(lines.iter().map(|line| (line.admitted, line.denied)).collect::<Vec<_>>(), [(14, 104)], "{name}");
        let next = stores.runtime.block_on(store.ledger().metered(&account, Hour(Hour::of(Micros(START)).0 + 1))).unwrap();
        assert!(next.is_empty(), "{name}");
    }
}

#[test]
fn s12_a_meters_hour_has_no_more_lines_than_a_bill_needs() {
    let stores = Stores::start();
    for (name, store) in stores.both() {
        let (keys, other) = (own_keys(), uid(1));
        let line = |number: usize| keys.meter(&uid(0), Some(&format!("s-{number}").parse().unwrap()), None);
        let told = |meter, admitted, denied| {
            let tally = [Tally { meter, admitted, denied }];
            stores.runtime.block_on(store.ledger().tally(Some(Micros(START)), &tally)).remove(0).unwrap();
        };
        let all: Vec<Tally> = (0..METER_FIELDS / 2).map(|number| Tally { meter: line(number), admitted: 1, denied: 1 }).collect();
        stores.runtime.block_on(store.ledger().tally(Some(Micros(START)), &all)).into_iter().for_each(|told| told.unwrap());
        // What has a line goes on being counted there; what would be a new one is counted without its names.
        told(line(7), 2, 0);
        (0..5).for_each(|more| told(line(METER_FIELDS + more), 10, 100));
        told(keys.meter(&other, Some(&"s-1".parse().unwrap()), None), 3, 0);
        let metered =
            |tenant: &TenantUid| stores.runtime.block_on(store.ledger().metered(&keys.account(tenant), Hour::of(Micros(START)))).unwrap();
        let mut lines = metered(&uid(0));
        lines.retain(|line| (line.admitted, line.denied) != (1, 1));
        lines.sort_by_key(|line| line.admitted);
        let lines: Vec<_> = lines.iter().map(|line| (line.line.as_str(), line.admitted, line.denied)).collect();
        assert_eq!(lines, [("3:s-7:0:", 3, 1), ("0::0:", 50, 500)], "{name}");
        assert_eq!(metered(&other).len(), 1, "{name}: no other tenant's");
    }
}

#[test]
fn s12_a_meters_day_has_no_more_lines_than_a_store_can_keep() {
    const HOUR: u64 = 3_600_000_000;
    let stores = Stores::start();
    for (name, store) in stores.both() {
        let keys = own_keys();
        // The first hours of a day, each with as many lines as it may have.
        let day = START - START % (24 * HOUR);
        let hours = METER_DAY_FIELDS / METER_FIELDS;
        let all: Vec<Tally> = (0..METER_FIELDS)
            .map(|number| Tally { meter: keys.meter(&uid(0), Some(&format!("s-{number}").parse().unwrap()), None), admitted: 1, denied: 0 })
            .collect();
        let told = |hour: u64, tallies: &[Tally]| {
            let told = stores.runtime.block_on(store.ledger().tally(Some(Micros(day + hour * HOUR)), tallies));
            told.into_iter().for_each(|told| told.unwrap());
        };
        let lines = |hour: u64| {
            let lines = stores.runtime.block_on(store.ledger().metered(&keys.account(&uid(0)), Hour(day / HOUR + hour))).unwrap();
            (lines.len(), lines.iter().map(|line| line.admitted).sum::<u64>())
        };
        told(0, &all);
        // What a full hour does not hold takes nothing of the day, however often it is asked for.
        let beyond = Tally { meter: keys.meter(&uid(0), Some(&"one-more".parse().unwrap()), None), admitted: 1, denied: 0 };
        told(0, &vec![beyond; 1_000]);
        assert_eq!(lines(0), (METER_FIELDS + 1, METER_FIELDS as u64 + 1_000), "{name}");
        (1..hours as u64).for_each(|hour| told(hour, &all));
        assert_eq!(lines(hours as u64 - 1), (METER_FIELDS, METER_FIELDS as u64), "{name}");
        told(hours as u64, &all[..7]);
        assert_eq!(lines(hours as u64), (1, 7), "{name}: without names");
        told(24, &all[..7]);
        assert_eq!(lines(24), (7, 7), "{name}: the next day");
    }
}
