//! A batch as the script takes it. The layout is documented in `decide/batch.lua`.

mod replies;
mod values;

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use redis::Cmd;

pub(crate) use self::replies::{Replies, Reply};
use self::values::Values;
use super::script;
use crate::{
    ask::{Ask, Told},
    bucket::Bucket,
    charge::{Part, Role, Shape},
    key::{Account, Key, Keyed, Meter},
    store::{Adjustment, Change, Micros, Tally},
};

/// The kind of a token bucket to which something is given back.
const RETURNED: u64 = 4;

/// How many values stand before the calendars.
const HEAD: usize = 6;

/// A batch for the script, being written. Equal accounts, keys and shapes are sent once.
///
/// In one batch a key has one limit, so that the script looks at it once; only a charge that names a key under several has a batch to itself.
#[derive(Debug)]
pub(crate) struct Batch<'c> {
    /// What the service's clock says: which periods of a calendar are sent.
    now_us: u64,
    accounts: Vec<(&'c Account, Vec<Field<'c>>)>,
    account_index: Keyed<&'c Account, usize>,
    key_index: Keyed<&'c Key, Place>,
    /// The keys that the ask being added is the first to name.
    fresh: Vec<&'c Key>,
    /// This period and the next: start, end, start, end.
    calendars: Vec<[u64; 4]>,
    /// What limits say, by kind: many levels share one. A batch bounds how many there are, so a quick hash will do.
    limits: Vec<(u64, [u64; 3])>,
    limit_index: HashMap<(u64, [u64; 3]), usize, RandomState>,
    shapes: Vec<Row<'c>>,
    levels: Vec<Level>,
    /// By address: the asks of a batch hold their shapes.
    shape_index: HashMap<usize, usize, RandomState>,
    items: Vec<Entry>,
    /// Whether a key is named under several limits: nothing else is in this batch.
    alone: bool,
    /// Whether there is more than charges of one part to token buckets.
    rare: bool,
}

/// A key in its account: the name, and its limit.
type Field<'c> = (&'c str, usize);

/// Where a key stands: its account, and its place among the account's fields.
#[derive(Debug, Clone, Copy)]
struct Place {
    account: usize,
    field: usize,
}

/// A shape: the account and the line of its meter, and how many of the levels are its own.
#[derive(Debug)]
struct Row<'c> {
    meter: Option<(usize, &'c str)>,
    levels: usize,
}

#[derive(Debug)]
struct Level {
    key: Place,
    role: u64,
    /// The limit, where its key has several.
    under: Option<usize>,
}

/// A value of an item.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Number(u64),
    /// The place of a shape, by its number.
    Shape(usize),
}

impl<'c> Batch<'c> {
    /// An empty batch at a moment of the service's clock.
    pub(crate) fn at(now_us: u64) -> Self {
        Self {
            now_us,
            accounts: Vec::new(),
            account_index: Keyed::default(),
            key_index: Keyed::default(),
            fresh: Vec::new(),
            calendars: Vec::new(),
            limits: Vec::new(),
            limit_index: HashMap::default(),
            shapes: Vec::new(),
            levels: Vec::new(),
            shape_index: HashMap::default(),
            items: Vec::new(),
            alone: false,
            rare: false,
        }
    }

    /// Adds an ask; not if it must have a batch to itself, or names a key under another limit than the asks before it do: then nothing of it is in the batch.
    pub(crate) fn ask(&mut self, ask: &'c Ask) -> bool {
        let (shapes, levels) = (self.shapes.len(), self.levels.len());
        self.fresh.clear();
        let added = self.add(ask).is_some();
        if !added {
            for key in self.fresh.drain(..).rev() {
                if let Some((_, fields)) = self.key_index.remove(key).and_then(|place| self.accounts.get_mut(place.account)) {
                    fields.pop();
                }
            }
            self.levels.truncate(levels);
            self.shapes.truncate(shapes);
            self.shape_index.retain(|_, number| *number < shapes);
        }
        added
    }

    fn add(&mut self, ask: &'c Ask) -> Option<()> {
        match (ask.charge.parts(), ask.ahead) {
            ([part], None) => {
                let shape = self.shape(part.shape())?;
                self.item(0, u64::from(ask.count), shape, part.cost(), &[]);
            }
            ([part], Some(ahead)) => {
                let shape = self.shape(part.shape())?;
                self.rare = true;
                let Told { admitted, denied } = ahead.told;
                let more = [u64::from(ahead.want), u64::from(ahead.share.max(1)), ahead.ttl_us, admitted, denied];
                self.item(1, u64::from(ask.count), shape, part.cost(), &more);
            }
            (parts, _) => self.parts(parts)?,
        }
        Some(())
    }

    fn parts(&mut self, parts: &'c [Part]) -> Option<()> {
        let mut item = vec![Entry::Number(2), Entry::Number(parts.len() as u64)];
        for part in parts {
            item.extend([Entry::Shape(self.shape(part.shape())?), Entry::Number(part.cost())]);
        }
        self.rare = true;
        self.items.append(&mut item);
        Some(())
    }

    /// Adds an adjustment; not if it names a key under another limit than those before it.
    pub(crate) fn adjustment(&mut self, adjustment: &'c Adjustment) -> bool {
        let from = self.levels.len();
        let limit = match (&adjustment.bucket, adjustment.change) {
            (Bucket::Token(token), Change::Return { .. }) => self.numbers(RETURNED, token.numbers()),
            (bucket, _) => self.limit(bucket),
        };
        if !self.level(&adjustment.key, limit, 0) {
            return false;
        }
        self.rare = true;
        let shape = self.row(None, from);
        match adjustment.change {
            Change::Reset => self.item(3, 1, shape, 0, &[]),
            Change::Grant { requests } => self.item(4, 1, shape, requests, &[]),
            Change::Return { unused, held, taken_us } => self.item(5, 1, shape, unused, &[held, taken_us]),
        }
        true
    }

    /// Adds a tally.
    pub(crate) fn tally(&mut self, tally: &'c Tally) {
        let shape = self.row(Some(&tally.meter), self.levels.len());
        self.item(6, 1, shape, tally.admitted, &[tally.denied]);
    }

    fn item(&mut self, op: u64, copies: u64, shape: usize, number: u64, more: &[u64]) {
        self.items.extend([Entry::Number(op), Entry::Number(copies), Entry::Shape(shape), Entry::Number(number)]);
        self.items.extend(more.iter().map(|number| Entry::Number(*number)));
    }

    fn account(&mut self, account: &'c Account) -> usize {
        let next = self.accounts.len();
        *self.account_index.entry(account).or_insert_with(|| {
            self.accounts.push((account, Vec::new()));
            next
        })
    }

    /// The number of a shape; none if it does not go with what is in the batch.
    fn shape(&mut self, shape: &'c Arc<Shape>) -> Option<usize> {
        if self.alone && !self.items.is_empty() {
            return None;
        }
        let address = Arc::as_ptr(shape).addr();
        if let Some(known) = self.shape_index.get(&address).filter(|_| !self.alone) {
            return Some(*known);
        }
        let from = self.levels.len();
        for level in shape.levels() {
            let role = match level.role() {
                Role::Hold => 0,
                // A limit in shadow pays as a guarantee does, and has no shared bucket behind it to lend to.
                Role::Guarantee | Role::Shadow => 1,
                Role::Shared => 2,
                Role::Count => 3,
            };
            let limit = self.limit(level.bucket());
            if !self.level(level.key(), limit, role) {
                return None;
            }
        }
        let number = self.row(shape.meter(), from);
        self.shape_index.insert(address, number);
        Some(number)
    }

    /// Ends the row of a shape whose levels were added.
    fn row(&mut self, meter: Option<&'c Meter>, from: usize) -> usize {
        let meter = meter.map(|meter| (self.account(meter.account()), meter.line()));
        self.shapes.push(Row { meter, levels: self.levels.len() - from });
        self.shapes.len() - 1
    }

    /// Adds a level; not if others that are decided here name its key under another limit.
    fn level(&mut self, key: &'c Key, limit: usize, role: u64) -> bool {
        let known = self.key_index.get(key).copied();
        let place = known.unwrap_or_else(|| {
            let account = self.account(key.account());
            let field = self.accounts.get_mut(account).map_or(0, |(_, fields)| {
                fields.push((key.field(), limit));
                fields.len()
            });
            self.key_index.insert(key, Place { account, field });
            self.fresh.push(key);
            Place { account, field }
        });
        let first = self.accounts.get(place.account).and_then(|(_, fields)| fields.get(place.field - 1)).map(|(_, limit)| *limit);
        let other = first != Some(limit);
        if other && !self.items.is_empty() {
            return false;
        }
        self.alone |= other;
        self.levels.push(Level { key: place, role, under: self.alone.then_some(limit) });
        true
    }

    fn limit(&mut self, bucket: &Bucket) -> usize {
        let (kind, numbers) = match bucket {
            Bucket::Token(token) => (0, token.numbers()),
            Bucket::Window(window) => (1, [window.length_us(), 1, window.limit()]),
            Bucket::Sliding(sliding) => (2, [sliding.slice_us(), 1, sliding.limit()]),
            Bucket::Calendar(quota) => {
                let [this, next] = quota.periods_at(self.now_us);
                (3, [self.calendar([this.start_us, this.end_us, next.start_us, next.end_us]), 1, quota.limit()])
            }
        };
        self.rare |= kind > 0;
        self.numbers(kind, numbers)
    }

    fn numbers(&mut self, kind: u64, numbers: [u64; 3]) -> usize {
        *self.limit_index.entry((kind, numbers)).or_insert_with(|| {
            self.limits.push((kind, numbers));
            self.limits.len() - 1
        })
    }

    /// The place of a calendar.
    fn calendar(&mut self, periods: [u64; 4]) -> u64 {
        let known = self.calendars.iter().position(|known| *known == periods);
        let index = known.unwrap_or_else(|| {
            self.calendars.push(periods);
            self.calendars.len() - 1
        });
        (HEAD + 1 + 4 * index) as u64
    }

    /// The call that decides the batch. `now` is the store's own clock unless it is given.
    pub(crate) fn command(self, now: Option<Micros>) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script::sha()).arg(self.accounts.len());
        for (account, _) in &self.accounts {
            command.arg(account.as_str());
        }
        command.arg(now.map(|now| now.0.to_string()).unwrap_or_default()).arg(self.packed());
        command
    }

    fn packed(&self) -> Vec<u8> {
        // Places count from 1.
        let limits = HEAD + 4 * self.calendars.len() + 1;
        let limit = |index: usize| (limits + 4 * index) as u64;
        let accounts = limits + 4 * self.limits.len();
        let fields = |fields: &Vec<Field<'_>>| if fields.is_empty() { 1 } else { 2 * fields.len() + 2 };
        let shapes = accounts + self.accounts.iter().map(|(_, of)| fields(of)).sum::<usize>();
        let items = shapes + 5 * self.shapes.len() + 2 * self.levels.len();
        let keys: usize = self.accounts.iter().map(|(_, fields)| fields.len()).sum();

        let mut values = Values::with_capacity(items + self.items.len() - 1);
        [accounts, shapes, items, self.calendars.len(), keys].iter().for_each(|number| values.count(*number));
        values.number(u64::from(self.rare));
        self.calendars.iter().flatten().for_each(|moment| values.number(*moment));
        for (kind, numbers) in &self.limits {
            numbers.iter().chain([kind]).for_each(|number| values.number(*number));
        }
        let mut first = Vec::with_capacity(self.accounts.len());
        let mut keys = 0;
        for (_, fields) in &self.accounts {
            first.push(keys);
            keys += fields.len();
            values.count(fields.len());
            fields.iter().for_each(|(name, _)| values.text(name));
            if !fields.is_empty() {
                values.text("x");
            }
            fields.iter().for_each(|(_, index)| values.number(limit(*index)));
        }
        let mut places = Vec::with_capacity(self.shapes.len());
        let (mut place, mut levels) = (shapes, self.levels.iter());
        for row in &self.shapes {
            places.push(place);
            place += 5 + 2 * row.levels;
            let (account, line) = row.meter.map_or((0, ""), |(account, line)| (account + 1, line));
            [0, 0, account].iter().for_each(|number| values.count(*number));
            values.text(line);
            values.count(row.levels);
            for Level { key, role, under } in levels.by_ref().take(row.levels) {
                values.count(first.get(key.account).copied().unwrap_or_default() + key.field);
                values.number(role + under.map_or(0, |index| 4 * limit(index)));
            }
        }
        for entry in &self.items {
            match entry {
                Entry::Number(number) => values.number(*number),
                Entry::Shape(shape) => values.count(places.get(*shape).copied().unwrap_or_default()),
            }
        }
        values.into_bytes()
    }
}
