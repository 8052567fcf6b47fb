//! What holds of every calendar at every moment.

use proptest::{prelude::*, sample::select};

use super::*;

/// Zones that do what breaks calendars: half and quarter hours, changes at midnight, skipped days, odd offsets, and the two plain ones.
const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Africa/Casablanca",
    "Africa/Monrovia",
];

fn calendars() -> impl Strategy<Value = Calendar> {
    let per = select(vec![Per::Hour, Per::Day, Per::Week, Per::Month]);
    (per, select(ZONES.to_vec()), 1u8..=31).prop_map(|(per, zone, day)| {
        let day = per.last_anchor_day().map(|last| day.min(last));
        Calendar::new(per, day, zone).unwrap()
    })
}

/// Any moment of all, of this time, and close to a change of a clock.
fn moments() -> impl Strategy<Value = u64> {
    let change = (select(ZONES.to_vec()), 0u64..us("2090-01-01T00:00:00Z"), -2i64..=2).prop_map(|(zone, after, near)| {
        let zone = jiff::tz::db().get(zone).unwrap();
        let at =
            zone.following(moment(after.cast_signed())).next().map_or(after.cast_signed(), |change| change.timestamp().as_microsecond());
        at.saturating_add(near * 900_000_000).unsigned_abs()
    });
    prop_oneof![any::<u64>(), 0..us("2100-01-01T00:00:00Z"), change]
}

/// Contains its moments, and nothing lies between it and its neighbours.
fn check(calendar: &Calendar, now: u64) {
    let period = calendar.period_at(now);
    let Period { start_us, end_us } = period;
    assert!(start_us <= now && (now < end_us || end_us == u64::MAX), "{calendar} at {now}: {period:?}");
    assert_eq!(calendar.period_at(start_us), period, "{calendar} at its start");
    assert_eq!(calendar.period_at(end_us - 1), period, "{calendar} at its end");
    if end_us < u64::MAX {
        assert_eq!(calendar.period_at(end_us).start_us, end_us, "{calendar}: after {period:?}");
    }
    if let Some(before) = start_us.checked_sub(1) {
        assert_eq!(calendar.period_at(before).end_us, start_us, "{calendar}: before {period:?}");
    }
    // Antarctica/Vostok once set its clocks back by seven hours.
    let set_back = DAY_US / 24 * 7;
    let longest = match calendar.per() {
        Per::Hour => DAY_US / 24,
        Per::Day => DAY_US + set_back,
        Per::Week => 7 * DAY_US + set_back,
        Per::Month => 31 * DAY_US + set_back,
    };
    assert!(end_us - start_us <= longest, "{calendar} is longer than it may be: {period:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn periods_tile_time(calendar in calendars(), now in moments()) {
        check(&calendar, now);
    }

    #[test]
    fn later_moments_lie_in_later_periods(calendar in calendars(), one in moments(), other in moments()) {
        let (first, second) = (calendar.period_at(one.min(other)), calendar.period_at(one.max(other)));
        prop_assert!(first == second || first.end_us <= second.start_us);
    }

    #[test]
    fn the_calendar_repeats_itself(calendar in calendars(), now in CYCLE_US..2 * CYCLE_US, cycles in 0u64..1400) {
        let (near, far) = (calendar.period_at(now), calendar.period_at(now + cycles * CYCLE_US));
        prop_assert_eq!(far.start_us - near.start_us, cycles * CYCLE_US);
        prop_assert_eq!(far.end_us - near.end_us, cycles * CYCLE_US);
    }
}

/// Every zone of the database at every change of its clock that it knows until 2040.
#[test]
fn periods_tile_time_wherever_a_clock_changes() {
    let mut checked = 0;
    for name in jiff::tz::db().available() {
        let zone = jiff::tz::db().get(name.as_str()).unwrap();
        let calendars: Vec<_> = [(Per::Hour, None), (Per::Day, None), (Per::Month, Some(30))]
            .into_iter()
            .map(|(per, day)| Calendar::new(per, day, name.as_str()).unwrap())
            .collect();
        let until = moment(us("2040-01-01T00:00:00Z").cast_signed());
        for change in zone.following(Timestamp::UNIX_EPOCH).take_while(|change| change.timestamp() < until) {
            let at = change.timestamp().as_microsecond().unsigned_abs();
            for calendar in &calendars {
                check(calendar, at - 1);
                check(calendar, at);
                checked += 1;
            }
        }
    }
    assert!(checked > 10_000, "only {checked}");
}
