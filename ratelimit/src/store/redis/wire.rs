//! A batch as `decide.lua` takes it, and its reply. The layout is documented there.

use std::{collections::HashMap, sync::Arc};

use redis::Cmd;

use super::script;
use crate::{
    ask::{Answer, Ask, Seen},
    bucket::Bucket,
    charge::{Charge, Role, Shape},
    key::{Account, Key},
    store::{Adjustment, Change, Micros, StoreError, Tally},
};

/// A batch for the script, being written: `KEYS` and `ARGV[2..]`. Equal accounts, keys, limits and shapes are sent once.
#[derive(Debug)]
pub(crate) struct Batch<'c> {
    /// What the service's clock says: which periods of a calendar are sent.
    now_us: u64,
    accounts: Vec<(&'c Account, Vec<u16>)>,
    account_index: HashMap<&'c Account, u16>,
    texts: Vec<&'c str>,
    text_index: HashMap<&'c str, u16>,
    /// Where a key stands: its account, and its place in it. Numbers of keys are known once all are.
    key_index: HashMap<&'c Key, (u16, u16)>,
    slots: Vec<((u16, u16), &'c Bucket)>,
    slot_index: HashMap<(&'c Key, &'c Bucket), u16>,
    shapes: Vec<u8>,
    /// By address: the asks of a batch hold their shapes.
    shape_index: HashMap<usize, u16>,
    shape_count: u16,
    items: Vec<u8>,
    item_count: u16,
}

impl<'c> Batch<'c> {
    /// An empty batch at a moment of the service's clock.
    pub(crate) fn at(now_us: u64) -> Self {
        Self {
            now_us,
            accounts: Vec::new(),
            account_index: HashMap::new(),
            texts: Vec::new(),
            text_index: HashMap::new(),
            key_index: HashMap::new(),
            slots: Vec::new(),
            slot_index: HashMap::new(),
            shapes: Vec::new(),
            shape_index: HashMap::new(),
            shape_count: 0,
            items: Vec::new(),
            item_count: 0,
        }
    }

    /// Adds an ask.
    pub(crate) fn ask(&mut self, ask: &'c Ask) {
        let mut item = Vec::with_capacity(32);
        match ask.ahead {
            None => item.push(0),
            Some(ahead) => {
                item.push(1);
                item.extend_from_slice(&small(ahead.want));
                item.extend_from_slice(&small(ahead.share.max(1)));
                item.extend_from_slice(&double(ahead.ttl_us));
            }
        }
        item.extend_from_slice(&small(ask.count));
        item.push(u8::try_from(ask.charge.parts().len()).unwrap_or(u8::MAX));
        for part in ask.charge.parts() {
            item.extend_from_slice(&self.shape(part.shape()).to_le_bytes());
            item.extend_from_slice(&double(part.cost()));
        }
        self.item(&item);
    }

    /// Adds an adjustment.
    pub(crate) fn adjustment(&mut self, adjustment: &'c Adjustment) {
        let slot = self.slot(&adjustment.key, &adjustment.bucket).to_le_bytes();
        let (op, numbers) = match adjustment.change {
            Change::Reset => (2, vec![]),
            Change::Grant { requests } => (3, vec![requests]),
            Change::Return { unused, held, taken_us } => (4, vec![unused, held, taken_us]),
        };
        let mut item = vec![op];
        item.extend_from_slice(&slot);
        numbers.into_iter().for_each(|number| item.extend_from_slice(&double(number)));
        self.item(&item);
    }

    /// Adds a tally.
    pub(crate) fn tally(&mut self, tally: &'c Tally) {
        self.shape_count += 1;
        self.shapes.push(0);
        let account = self.account(tally.meter.account()) + 1;
        let line = self.text(tally.meter.line());
        self.shapes.extend_from_slice(&account.to_le_bytes());
        self.shapes.extend_from_slice(&line.to_le_bytes());
        let mut item = vec![5];
        item.extend_from_slice(&self.shape_count.to_le_bytes());
        item.extend_from_slice(&double(tally.admitted));
        item.extend_from_slice(&double(tally.denied));
        self.item(&item);
    }

    fn item(&mut self, item: &[u8]) {
        self.item_count += 1;
        self.items.extend_from_slice(item);
    }

    fn account(&mut self, account: &'c Account) -> u16 {
        let next = self.accounts.len();
        *self.account_index.entry(account).or_insert_with(|| {
            self.accounts.push((account, Vec::new()));
            index(next)
        })
    }

    fn text(&mut self, text: &'c str) -> u16 {
        *self.text_index.entry(text).or_insert_with(|| {
            self.texts.push(text);
            index(self.texts.len())
        })
    }

    fn slot(&mut self, key: &'c Key, bucket: &'c Bucket) -> u16 {
        if let Some(known) = self.slot_index.get(&(key, bucket)) {
            return *known;
        }
        let place = match self.key_index.get(key) {
            Some(place) => *place,
            None => {
                let (account, text) = (self.account(key.account()), self.text(key.field()));
                let place = self.accounts.get_mut(usize::from(account)).map_or((account, 0), |(_, fields)| {
                    fields.push(text);
                    (account, index(fields.len()))
                });
                self.key_index.insert(key, place);
                place
            }
        };
        self.slots.push((place, bucket));
        let slot = index(self.slots.len());
        self.slot_index.insert((key, bucket), slot);
        slot
    }

    fn shape(&mut self, shape: &'c Arc<Shape>) -> u16 {
        if let Some(known) = self.shape_index.get(&Arc::as_ptr(shape).addr()) {
            return *known;
        }
        let mut packed = vec![u8::try_from(shape.levels().len()).unwrap_or(u8::MAX)];
        for level in shape.levels() {
            packed.extend_from_slice(&self.slot(level.key(), level.bucket()).to_le_bytes());
            packed.push(match level.role() {
                Role::Hold => 0,
                Role::Guarantee => 1,
                Role::Shared => 2,
                Role::Count => 3,
            });
        }
        let (account, line) = match shape.meter() {
            Some(meter) => (self.account(meter.account()) + 1, self.text(meter.line())),
            None => (0, 0),
        };
        packed.extend_from_slice(&account.to_le_bytes());
        packed.extend_from_slice(&line.to_le_bytes());
        self.shapes.extend_from_slice(&packed);
        self.shape_count += 1;
        self.shape_index.insert(Arc::as_ptr(shape).addr(), self.shape_count);
        self.shape_count
    }

    /// The call that decides the batch. `now` is the store's own clock unless it is given.
    pub(crate) fn command(&self, now: Option<Micros>) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script::sha()).arg(self.accounts.len());
        for (account, _) in &self.accounts {
            command.arg(account.as_str());
        }
        command.arg(now.map(|now| now.0.to_string()).unwrap_or_default()).arg(self.packed());
        for text in &self.texts {
            command.arg(*text);
        }
        command
    }

    fn packed(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(64 + self.slots.len() * 32 + self.shapes.len() + self.items.len());
        let mut first = Vec::with_capacity(self.accounts.len());
        let mut keys = 0;
        for (_, fields) in &self.accounts {
            first.push(keys);
            keys += index(fields.len());
            packed.extend_from_slice(&index(fields.len()).to_le_bytes());
            fields.iter().for_each(|field| packed.extend_from_slice(&field.to_le_bytes()));
        }
        packed.extend_from_slice(&index(self.slots.len()).to_le_bytes());
        for ((account, place), bucket) in &self.slots {
            let key = first.get(usize::from(*account)).copied().unwrap_or_default() + place;
            packed.extend_from_slice(&key.to_le_bytes());
            self.limit(bucket, &mut packed);
        }
        packed.extend_from_slice(&self.shape_count.to_le_bytes());
        packed.extend_from_slice(&self.shapes);
        packed.extend_from_slice(&self.item_count.to_le_bytes());
        packed.extend_from_slice(&self.items);
        packed
    }

    fn limit(&self, bucket: &Bucket, packed: &mut Vec<u8>) {
        let mut write = |kind: u8, numbers: &[u64]| {
            packed.push(kind);
            numbers.iter().for_each(|number| packed.extend_from_slice(&double(*number)));
        };
        match bucket {
            Bucket::Token(token) => write(0, &[token.requests(), token.period_us(), token.capacity()]),
            Bucket::Window(window) => write(1, &[window.length_us(), window.limit()]),
            Bucket::Sliding(sliding) => write(2, &[sliding.slice_us(), sliding.limit()]),
            Bucket::Calendar(quota) => {
                let [this, next] = quota.periods_at(self.now_us);
                write(3, &[this.start_us, this.end_us, next.start_us, next.end_us, quota.limit()]);
            }
        }
    }
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
    pub(crate) fn answer(&mut self, charge: &Charge) -> Result<Reply, StoreError> {
        self.one(charge).ok_or(StoreError::Garbled)
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

    fn one(&mut self, charge: &Charge) -> Option<Reply> {
        match self.take::<1>()? {
            [0] => {}
            [2] => return Some(Reply::Answer(Answer::faulty(self.now_us))),
            [3] => return Some(Reply::Stale { now_us: self.now_us }),
            _ => return None,
        }
        let admitted = u32::from(u16::from_le_bytes(self.take()?));
        let ahead = u32::from(u16::from_le_bytes(self.take()?));
        let until_us = self.moment()?;
        let seen = charge.levels().map(|(level, _)| {
            let credit = self.number()?;
            let sliding = matches!(level.bucket(), Bucket::Sliding(_));
            let (frees_us, clears_us) = if sliding { (self.moment()?, self.moment()?) } else { (0, 0) };
            Some(Seen { credit, frees_us, clears_us })
        });
        let seen = seen.collect::<Option<Vec<_>>>()?;
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
