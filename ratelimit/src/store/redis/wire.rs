//! A batch as `decide.lua` takes it, and its reply. The layout is documented there.

use std::{collections::HashMap, sync::Arc};

use redis::Cmd;

use super::script;
use crate::{
    ask::{Answer, Ask, Seen},
    bucket::Bucket,
    charge::{Role, Shape},
    key::{Account, Key, Keyed, Meter},
    store::{Adjustment, Change, Micros, StoreError, Tally},
};

/// What is read of an item wherever one begins: longer than the shortest item.
const HEAD: usize = 13;

/// A batch for the script, being written. Equal accounts, keys and shapes are sent once.
#[derive(Debug)]
pub(crate) struct Batch<'c> {
    /// What the service's clock says: which periods of a calendar are sent.
    now_us: u64,
    accounts: Vec<(&'c Account, Vec<&'c str>)>,
    account_index: Keyed<&'c Account, u16>,
    key_index: Keyed<&'c Key, Place>,
    /// This period and the next: start, end, start, end.
    calendars: Vec<[u64; 4]>,
    /// What limits say, by kind: many levels share one.
    limits: Vec<(u8, [u64; 3])>,
    limit_index: HashMap<(u8, [u64; 3]), u16>,
    /// How many levels each shape has.
    levels: Vec<u16>,
    rows: Vec<u8>,
    /// Where a row names a key. Numbers of keys are known once all are.
    named: Vec<(usize, Place)>,
    /// By address: the asks of a batch hold their shapes.
    shape_index: HashMap<usize, u16>,
    items: Vec<u8>,
    item_count: u16,
}

/// Where a key stands: its account, and its place among the account's fields.
#[derive(Debug, Clone, Copy)]
struct Place {
    account: usize,
    field: usize,
}

impl<'c> Batch<'c> {
    /// An empty batch at a moment of the service's clock.
    pub(crate) fn at(now_us: u64) -> Self {
        Self {
            now_us,
            accounts: Vec::new(),
            account_index: Keyed::default(),
            key_index: Keyed::default(),
            calendars: Vec::new(),
            limits: Vec::new(),
            limit_index: HashMap::new(),
            levels: Vec::new(),
            rows: Vec::new(),
            named: Vec::new(),
            shape_index: HashMap::new(),
            items: Vec::new(),
            item_count: 0,
        }
    }

    /// Adds an ask.
    pub(crate) fn ask(&mut self, ask: &'c Ask) {
        match (ask.charge.parts(), ask.ahead) {
            ([part], None) => {
                let shape = self.shape(part.shape());
                self.item(0, ask.count, shape, part.cost());
            }
            ([part], Some(ahead)) => {
                let shape = self.shape(part.shape());
                self.item(1, ask.count, shape, part.cost());
                self.items.extend_from_slice(&small(ahead.want));
                self.items.extend_from_slice(&small(ahead.share.max(1)));
                self.items.extend_from_slice(&double(ahead.ttl_us));
            }
            (parts, _) => {
                self.item(2, ask.count, 0, 0);
                self.items.push(u8::try_from(parts.len()).unwrap_or(u8::MAX));
                for part in parts {
                    let shape = self.shape(part.shape());
                    self.items.extend_from_slice(&shape.to_le_bytes());
                    self.items.extend_from_slice(&double(part.cost()));
                }
            }
        }
    }

    /// Adds an adjustment.
    pub(crate) fn adjustment(&mut self, adjustment: &'c Adjustment) {
        self.row(1, None);
        self.level(&adjustment.key, &adjustment.bucket, Role::Hold);
        let shape = index(self.levels.len());
        match adjustment.change {
            Change::Reset => self.item(3, 1, shape, 0),
            Change::Grant { requests } => self.item(4, 1, shape, requests),
            Change::Return { unused, held, taken_us } => {
                self.item(5, 1, shape, unused);
                self.items.extend_from_slice(&double(held));
                self.items.extend_from_slice(&double(taken_us));
            }
        }
    }

    /// Adds a tally.
    pub(crate) fn tally(&mut self, tally: &'c Tally) {
        self.row(0, Some(&tally.meter));
        self.item(6, 1, index(self.levels.len()), tally.admitted);
        self.items.extend_from_slice(&double(tally.denied));
    }

    fn item(&mut self, op: u8, copies: u32, shape: u16, number: u64) {
        self.item_count += 1;
        self.items.push(op);
        self.items.extend_from_slice(&small(copies));
        self.items.extend_from_slice(&shape.to_le_bytes());
        self.items.extend_from_slice(&double(number));
    }

    fn account(&mut self, account: &'c Account) -> usize {
        let next = self.accounts.len();
        usize::from(*self.account_index.entry(account).or_insert_with(|| {
            self.accounts.push((account, Vec::new()));
            index(next)
        }))
    }

    fn place(&mut self, key: &'c Key) -> Place {
        if let Some(known) = self.key_index.get(key) {
            return *known;
        }
        let account = self.account(key.account());
        let field = self.accounts.get_mut(account).map_or(0, |(_, fields)| {
            fields.push(key.field());
            fields.len()
        });
        self.key_index.insert(key, Place { account, field });
        Place { account, field }
    }

    fn shape(&mut self, shape: &'c Arc<Shape>) -> u16 {
        let address = Arc::as_ptr(shape).addr();
        if let Some(known) = self.shape_index.get(&address) {
            return *known;
        }
        self.row(shape.levels().len(), shape.meter());
        for level in shape.levels() {
            self.level(level.key(), level.bucket(), level.role());
        }
        let number = index(self.levels.len());
        self.shape_index.insert(address, number);
        number
    }

    /// Begins the row of a shape.
    fn row(&mut self, levels: usize, meter: Option<&'c Meter>) {
        self.levels.push(index(levels));
        let (account, line) = meter.map_or((0, ""), |meter| (self.account(meter.account()) + 1, meter.line()));
        self.rows.extend_from_slice(&index(account).to_le_bytes());
        text(line, &mut self.rows);
    }

    fn level(&mut self, key: &'c Key, bucket: &Bucket, role: Role) {
        let place = self.place(key);
        self.named.push((self.rows.len(), place));
        let (kind, numbers) = match bucket {
            Bucket::Token(token) => (0, [token.requests(), token.period_us(), token.capacity()]),
            Bucket::Window(window) => (1, [window.length_us(), 1, window.limit()]),
            Bucket::Sliding(sliding) => (2, [sliding.slice_us(), 1, sliding.limit()]),
            Bucket::Calendar(quota) => {
                let [this, next] = quota.periods_at(self.now_us);
                (3, [self.calendar([this.start_us, this.end_us, next.start_us, next.end_us]), 1, quota.limit()])
            }
        };
        let role = match role {
            Role::Hold => 0,
            // A limit in shadow pays as a guarantee does, and has no shared bucket behind it to lend to.
            Role::Guarantee | Role::Shadow => 1,
            Role::Shared => 2,
            Role::Count => 3,
        };
        self.rows.extend_from_slice(&[0, 0, role]);
        let limit = self.limit(kind, numbers);
        self.rows.extend_from_slice(&limit.to_le_bytes());
    }

    fn limit(&mut self, kind: u8, numbers: [u64; 3]) -> u16 {
        *self.limit_index.entry((kind, numbers)).or_insert_with(|| {
            self.limits.push((kind, numbers));
            index(self.limits.len())
        })
    }

    fn calendar(&mut self, periods: [u64; 4]) -> u64 {
        let known = self.calendars.iter().position(|known| *known == periods);
        let index = known.unwrap_or_else(|| {
            self.calendars.push(periods);
            self.calendars.len() - 1
        });
        index as u64 + 1
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

    fn packed(mut self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(64 + self.accounts.len() * 64 + self.rows.len() + self.items.len());
        let mut short = |number: u16| packed.extend_from_slice(&number.to_le_bytes());
        short(index(self.calendars.len()));
        short(index(self.limits.len()));
        short(index(self.levels.len()));
        short(self.item_count);
        let mut first = Vec::with_capacity(self.accounts.len());
        let mut keys = 0;
        for (_, fields) in &self.accounts {
            first.push(keys);
            keys += fields.len();
            packed.extend_from_slice(&index(fields.len()).to_le_bytes());
        }
        self.levels.iter().for_each(|levels| packed.extend_from_slice(&levels.to_le_bytes()));
        self.accounts.iter().flat_map(|(_, fields)| fields).for_each(|field| text(field, &mut packed));
        self.calendars.iter().flatten().for_each(|moment| packed.extend_from_slice(&double(*moment)));
        for (kind, numbers) in &self.limits {
            packed.push(*kind);
            numbers.iter().for_each(|number| packed.extend_from_slice(&double(*number)));
        }
        for (at, place) in self.named {
            let key = index(first.get(place.account).copied().unwrap_or_default() + place.field);
            if let Some(named) = self.rows.get_mut(at..at + 2) {
                named.copy_from_slice(&key.to_le_bytes());
            }
        }
        packed.extend_from_slice(&self.rows);
        packed.extend_from_slice(&self.items);
        packed.extend_from_slice(&[0; HEAD]);
        packed
    }
}

/// A text with its length before it.
fn text(text: &str, packed: &mut Vec<u8>) {
    packed.extend_from_slice(&index(text.len()).to_le_bytes());
    packed.extend_from_slice(text.as_bytes());
}

/// An index as the script has it. A batch is bounded far below 2^16 of anything.
fn index(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn small(number: u32) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

/// A number as the script computes with it. A cost above 2^53 may be rounded; it is beyond every capacity before and after.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn double(number: u64) -> [u8; 8] {
    (number as f64).to_le_bytes()
}

/// What the script says of one ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It was decided, or is faulty.
    Answer(Answer),
    /// Neither period that was sent for a calendar is the store's now: nothing was charged.
    Stale {
        /// The store's now.
        now_us: u64,
    },
}

impl Reply {
    /// What is answered if it is not asked again: two periods, both for the store's own now of a moment ago, and still neither. It stands still for
    /// nobody, but not that badly.
    pub(crate) fn last(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            Self::Stale { now_us } => Answer::faulty(now_us),
        }
    }
}

/// A reply to a batch, being read.
#[derive(Debug)]
pub(crate) struct Replies<'r> {
    rest: &'r [u8],
    now_us: u64,
}

impl<'r> Replies<'r> {
    /// Begins to read.
    ///
    /// # Errors
    /// When it is no reply.
    pub(crate) fn read(reply: &'r [u8]) -> Result<Self, StoreError> {
        let mut replies = Self { rest: reply, now_us: 0 };
        replies.now_us = replies.moment().ok_or(StoreError::Garbled)?;
        Ok(replies)
    }

    /// The moment that the store decided at.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// The reply to the next ask.
    ///
    /// # Errors
    /// When it does not fit the ask.
    pub(crate) fn answer(&mut self, ask: &Ask) -> Result<Reply, StoreError> {
        self.one(ask).ok_or(StoreError::Garbled)
    }

    /// Whether the next adjustment was made, or none if its calendar was stale.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn done(&mut self) -> Result<Option<bool>, StoreError> {
        match self.take::<1>().ok_or(StoreError::Garbled)? {
            [0] => Ok(Some(true)),
            [2] => Ok(Some(false)),
            [3] => Ok(None),
            _ => Err(StoreError::Garbled),
        }
    }

    /// Ends the reply.
    ///
    /// # Errors
    /// When something is left.
    pub(crate) fn end(self) -> Result<(), StoreError> {
        if self.rest.is_empty() { Ok(()) } else { Err(StoreError::Garbled) }
    }

    fn one(&mut self, ask: &Ask) -> Option<Reply> {
        match self.take::<1>()? {
            [0] => {}
            [2] => return Some(Reply::Answer(Answer::faulty(self.now_us))),
            [3] => return Some(Reply::Stale { now_us: self.now_us }),
            _ => return None,
        }
        // More than was asked for was never admitted (S9).
        let admitted = Some(u32::from(u16::from_le_bytes(self.take()?))).filter(|admitted| *admitted <= ask.count)?;
        let parts = ask.charge.parts();
        let mut seen = Vec::with_capacity(parts.iter().map(|part| part.shape().levels().len()).sum());
        for (level, _) in ask.charge.levels() {
            let credit = self.number()?;
            let sliding = matches!(level.bucket(), Bucket::Sliding(_));
            let (frees_us, clears_us) = if sliding { (self.moment()?, self.moment()?) } else { (0, 0) };
            seen.push(Seen { credit, frees_us, clears_us });
        }
        let (ahead, until_us) = match (parts, ask.ahead) {
            ([_], Some(wanted)) => (u32::try_from(self.moment()?).ok().filter(|ahead| *ahead <= wanted.want)?, self.moment()?),
            _ => (0, 0),
        };
        Some(Reply::Answer(Answer { admitted, ahead, until_us, now_us: self.now_us, faulty: false, seen }))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the script's numbers are integers within 2^53")]
    fn number(&mut self) -> Option<i64> {
        Some(f64::from_le_bytes(self.take()?) as i64)
    }

    fn moment(&mut self) -> Option<u64> {
        Some(u64::try_from(self.number()?).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
