mod properties;

use super::*;

const DAY_US: u64 = 24 * 3_600_000_000;

fn us(text: &str) -> u64 {
    text.parse::<Timestamp>().unwrap().as_microsecond().try_into().unwrap()
}

/// Of a text as [`Calendar`] shows itself.
fn calendar(text: &str) -> Calendar {
    let (per, rest) = text.split_once('/').unwrap();
    let per = [Per::Hour, Per::Day, Per::Week, Per::Month].into_iter().find(|one| one.as_str() == per).unwrap();
    match rest.split_once('/') {
        Some((day, zone)) if per.last_anchor_day().is_some() => Calendar::new(per, Some(day.parse().unwrap()), zone).unwrap(),
        _ => Calendar::new(per, None, rest).unwrap(),
    }
}

#[test]
fn periods_begin_and_end_where_the_calendar_says() {
    // The calendar, a moment, and the period that it lies in.
    for (text, now, start, end) in [
        ("hour/UTC", "2026-11-22T04:42:00Z", "2026-11-22T04:00:00Z", "2026-11-22T05:00:00Z"),
        ("hour/Asia/Kolkata", "2026-11-22T04:42:00Z", "2026-11-22T04:30:00Z", "2026-11-22T05:30:00Z"),
        ("hour/Asia/Kathmandu", "2026-11-22T04:42:00Z", "2026-11-22T04:15:00Z", "2026-11-22T05:15:00Z"),
        ("hour/America/St_Johns", "2026-11-22T04:42:00Z", "2026-11-22T04:30:00Z", "2026-11-22T05:30:00Z"),
        // Shown twice, 02:00 to 03:00: two hours.
        ("hour/Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        ("hour/Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
        // Skipped, 02:00 to 03:00: no hour.
        ("hour/Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"),
        ("hour/Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        // Set back one minute past midnight by an hour: no minute moves.
        ("hour/America/St_Johns", "2010-11-07T02:31:00Z", "2010-11-07T02:30:00Z", "2010-11-07T03:30:00Z"),
        // Set back and forward by half an hour.
        ("hour/Australia/Lord_Howe", "2026-04-04T14:59:59Z", "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z"),
        ("hour/Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"),
        ("hour/Australia/Lord_Howe", "2026-04-04T15:30:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"),
        ("hour/Australia/Lord_Howe", "2026-10-03T15:29:59Z", "2026-10-03T14:30:00Z", "2026-10-03T15:30:00Z"),
        ("hour/Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"),
        // Offsets that were no whole minutes, until 1972.
        ("hour/Africa/Monrovia", "1971-06-01T00:00:00Z", "1971-05-31T23:44:30Z", "1971-06-01T00:44:30Z"),
        ("day/UTC", "2026-11-22T04:42:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("day/UTC", "2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("day/UTC", "2026-11-22T23:59:59.999999Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        // 23 and 25 hours.
        ("day/Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("day/Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("day/America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        ("day/America/New_York", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ("day/Australia/Lord_Howe", "2026-04-05T00:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"),
        // Midnight that does not exist: the day begins at 01:00.
        ("day/America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
        ("day/America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        ("day/Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
        // Set back at midnight to 23:00, set back at 01:00 to midnight, and at 00:01 to 23:01.
        ("day/America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"),
        ("day/America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ("day/America/St_Johns", "2010-11-07T02:29:59Z", "2010-11-06T02:30:00Z", "2010-11-07T02:30:00Z"),
        ("day/America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"),
        // Days that were skipped.
        ("day/Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("day/Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
        ("day/Pacific/Kwajalein", "1993-08-21T12:00:00Z", "1993-08-21T12:00:00Z", "1993-08-22T12:00:00Z"),
        ("month/30/Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-29T10:00:00Z"),
        ("month/31/Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-30T10:00:00Z"),
        ("week/5/Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-05T10:00:00Z"),
        ("week/1/UTC", "2026-11-22T04:42:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("week/1/UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("week/7/UTC", "2026-11-22T04:42:00Z", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("week/6/UTC", "2026-11-22T04:42:00Z", "2026-11-21T00:00:00Z", "2026-11-28T00:00:00Z"),
        ("week/1/Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("week/1/UTC", "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
        ("month/1/UTC", "2026-11-22T04:42:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("month/1/UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month/1/Europe/Berlin", "2026-10-31T23:00:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        ("month/1/Europe/Berlin", "2026-10-31T22:59:59Z", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        ("month/15/Europe/Paris", "2026-03-20T00:00:00Z", "2026-03-14T23:00:00Z", "2026-04-14T22:00:00Z"),
        ("month/15/Europe/Paris", "2026-03-14T22:59:59Z", "2026-02-14T23:00:00Z", "2026-03-14T23:00:00Z"),
        // Months without the anchor day, in common and in leap years.
        ("month/31/UTC", "2026-02-15T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
        ("month/31/UTC", "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("month/31/UTC", "2026-04-29T23:59:59Z", "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z"),
        ("month/31/UTC", "2026-05-30T00:00:00Z", "2026-04-30T00:00:00Z", "2026-05-31T00:00:00Z"),
        ("month/31/UTC", "2028-02-28T23:00:00Z", "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("month/30/UTC", "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-30T00:00:00Z"),
        ("month/29/UTC", "2100-03-01T00:00:00Z", "2100-02-28T00:00:00Z", "2100-03-29T00:00:00Z"),
        ("month/29/UTC", "2000-03-01T00:00:00Z", "2000-02-29T00:00:00Z", "2000-03-29T00:00:00Z"),
        ("month/29/UTC", "2800-03-01T00:00:00Z", "2800-02-29T00:00:00Z", "2800-03-29T00:00:00Z"),
        // Far away; what began before 1970 begins at 0.
        ("day/Europe/Berlin", "9998-07-01T12:00:00Z", "9998-06-30T22:00:00Z", "9998-07-01T22:00:00Z"),
        ("day/America/New_York", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T05:00:00Z"),
        ("week/1/UTC", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-05T00:00:00Z"),
    ] {
        let period = calendar(text).period_at(us(now));
        assert_eq!(period, Period { start_us: us(start), end_us: us(end) }, "{text} at {now}");
    }
}

#[test]
fn the_end_of_all_time_has_a_period() {
    for text in ["hour/UTC", "day/Europe/Berlin", "week/1/UTC", "month/31/America/New_York"] {
        let last = calendar(text).period_at(u64::MAX);
        assert!(last.start_us < u64::MAX && last.end_us == u64::MAX, "{text}: {last:?}");
        assert_eq!(calendar(text).period_at(last.start_us), last);
    }
}

#[test]
fn calendars_are_equal_by_what_they_say() {
    let berlin = calendar("month/1/Europe/Berlin");
    assert_eq!(berlin, Calendar::new(Per::Month, None, "europe/BERLIN").unwrap());
    assert_eq!(berlin.to_string(), "month/1/Europe/Berlin");
    for other in ["month/2/Europe/Berlin", "month/1/Europe/Paris", "week/1/Europe/Berlin", "day/Europe/Berlin"] {
        assert_ne!(berlin, calendar(other));
        assert_eq!(calendar(other).to_string(), other);
    }
}

#[test]
fn what_is_no_calendar_is_refused() {
    for (per, day, zone, error) in [
        (Per::Month, Some(1), "Mars/Olympus", CalendarError::UnknownZone),
        (Per::Month, Some(1), "", CalendarError::UnknownZone),
        (Per::Month, Some(0), "UTC", CalendarError::NoSuchDay),
        (Per::Month, Some(32), "UTC", CalendarError::NoSuchDay),
        (Per::Week, Some(8), "UTC", CalendarError::NoSuchDay),
        (Per::Day, Some(1), "UTC", CalendarError::NoSuchDay),
        (Per::Hour, Some(1), "UTC", CalendarError::NoSuchDay),
    ] {
        assert_eq!(Calendar::new(per, day, zone).unwrap_err(), error, "{per:?} {day:?} {zone}");
    }
}
