//! `quotas` of a Plan and of a Subscription.

use crate::{
    calendar::{Calendar, Per},
    decode::{Fields, Reader},
    limit::{MAX_QUOTAS, Quota, QuotaWindow},
    place::At,
};

/// The largest quota: whole in the store's doubles, and more than a platform at its largest rate serves in a month.
const MAX_QUOTA: u64 = 1 << 50;

/// A list of quotas, each over another window: of two over the same one the larger could never be reached.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Vec<At<Quota>>> {
    let (mut windows, mut count) = (Vec::new(), 0);
    let quotas = reader.list(|quota| {
        count += 1;
        // What is over the bound is not compared with all before it (S16): an error stands.
        if count > MAX_QUOTAS {
            return None;
        }
        let one = quota.at(read_one)?;
        if windows.contains(&one.value.window) {
            return quota.refuse(format!("another quota of this list counts over the same window, {}", one.value.window));
        }
        windows.push(one.value.window.clone());
        Some(one)
    })?;
    if count > MAX_QUOTAS {
        return reader.refuse(format!("must have at most {MAX_QUOTAS} quotas, not {count}"));
    }
    Some(quotas)
}

fn read_one(reader: &mut Reader<'_>) -> Option<Quota> {
    reader.object(|fields| {
        let requests = fields.required("requests", |reader| reader.whole(0, MAX_QUOTA));
        let per = fields
            .required("per", |reader| reader.one_of(&[("hour", Per::Hour), ("day", Per::Day), ("week", Per::Week), ("month", Per::Month)]));
        let sliding = fields.optional("window", |reader| reader.one_of(&[("calendar", false), ("sliding", true)])).unwrap_or(false);
        let window = if sliding { read_sliding(fields, per) } else { read_calendar(fields, per) };
        Some(Quota { requests: requests?, window: window? })
    })
}

fn read_sliding(fields: &mut Fields<'_>, per: Option<Per>) -> Option<QuotaWindow> {
    let misplaced = |reader: &mut Reader<'_>| reader.refuse::<()>("has no meaning with `window: sliding`");
    let anchor_day = fields.has("anchorDay");
    fields.optional("anchorDay", misplaced);
    let time_zone = fields.has("timeZone");
    fields.optional("timeZone", misplaced);
    per.filter(|_| !anchor_day && !time_zone).map(QuotaWindow::sliding)
}

fn read_calendar(fields: &mut Fields<'_>, per: Option<Per>) -> Option<QuotaWindow> {
    // Where `per` is wrong itself, the widest reading: one mistake is one complaint.
    let last = per.map_or(Some(31), Per::last_anchor_day);
    let anchor_day = fields.optional("anchorDay", |reader| match last {
        Some(last) => reader.whole(1, last.into()).and_then(|day| u8::try_from(day).ok()),
        None => reader.refuse("has a meaning only with `per: week` and `per: month`"),
    });
    let anchored = anchor_day.is_some() || !fields.has("anchorDay");
    let make = |zone: &str| Calendar::new(per.unwrap_or(Per::Month), anchor_day, zone);
    let stated = fields.optional("timeZone", |reader| reader.parse_with(make));
    let calendar = if fields.has("timeZone") { stated } else { make("UTC").ok() };
    per.filter(|_| anchored).and(calendar).map(QuotaWindow::Calendar)
}
