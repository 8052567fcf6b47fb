//! Redis (6.2 and later) or Valkey: one script decides a batch in one atomic step.
//!
//! No batch is ever sent twice after its outcome became unknown (S12, S24): a late answer, a broken connection or an error is reported, and
//! the failure mode answers. What is repeated is only what the store says it never did: a batch whose script it does not know (NOSCRIPT: it was
//! restarted or its scripts were flushed), and asks whose calendar was sent for another moment than the store's now.

pub mod address;
mod cluster;
pub mod dial;
mod link;
mod script;
mod sentinel;
pub mod settings;
pub mod sharded;
pub(crate) mod wire;

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bulkhead_tenancy::clock::{Clock, SystemClock};

use self::{
    address::HostPort,
    cluster::Cluster,
    link::{Link, Manner},
    settings::{SettingsError, StoreSettings},
    wire::{Batch, Replies, Reply},
};
use super::{Adjustment, Hour, Ledger, METER_FIELDS, Metered, Micros, Store, StoreError, Tally, apart::each};
use crate::{
    ask::{Answer, Ask},
    key::Account,
};

/// How many levels one call may hold. Lua passes the fields of an account as arguments, two each, of which it takes fewer than 8,000.
const CALL_LEVELS: usize = 2048;

/// How many adjustments or tallies one call may hold.
const CALL_CHANGES: usize = 512;

/// How many fields of a meter are read in one call, and the most calls that an hour takes: a table that was once larger is sparse.
const METER_PART: usize = 1024;
const METER_CALLS: usize = 16 * METER_FIELDS / METER_PART;

/// Buckets in a Redis or Valkey.
pub struct RedisStore {
    reach: Reach,
    deadline: Duration,
    clock: Arc<dyn Clock>,
}

/// Whether asks are decided one after the other as they stand, or in any order: those of a queue are of nobody who knows of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Kept,
    Any,
}

/// How the store is reached.
enum Reach {
    One(Link),
    Cluster(Cluster),
}

impl RedisStore {
    /// Begins to connect to an address in the background; until there is a connection every batch fails at once.
    ///
    /// # Errors
    /// When it is no address.
    pub fn start(address: &str, deadline: Duration) -> Result<Self, SettingsError> {
        let address = address.parse().map_err(|_| SettingsError::Address)?;
        StoreSettings::new(address, deadline).open()
    }

    fn over(reach: Reach, deadline: Duration) -> Self {
        Self { reach, deadline, clock: Arc::new(SystemClock) }
    }

    /// The same by another clock of this process. It decides nothing: the store's clock does. It tells which periods of calendars are sent first,
    /// and where it is wrong by more than a period, the store's own moment tells.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Waits for a connection, for as long as is allowed.
    pub async fn ready(&self, within: Duration) -> bool {
        match &self.reach {
            Reach::One(link) => link.ready(within).await,
            Reach::Cluster(cluster) => cluster.ready(within).await,
        }
    }

    /// The node of a cluster that owns a slot, as far as is known.
    fn owner(&self, slot: u16) -> Option<HostPort> {
        match &self.reach {
            Reach::One(_) => None,
            Reach::Cluster(cluster) => cluster.owner(slot),
        }
    }

    async fn call(&self, command: &redis::Cmd, within: Duration) -> Result<redis::Value, StoreError> {
        match &self.reach {
            Reach::One(link) => Ok(link.run(command, Manner::Plain, within).await?),
            Reach::Cluster(cluster) => cluster.run(command, within).await,
        }
    }

    async fn script(&self, command: redis::Cmd, within: Duration) -> Result<Vec<u8>, StoreError> {
        match self.call(&command, within).await? {
            redis::Value::BulkString(reply) => Ok(reply),
            _ => Err(StoreError::Garbled),
        }
    }

    /// Decides asks of one call. Those whose calendar turned meanwhile are sent once more, for the store's own moment: if that fails it is their
    /// error alone, because the others are decided and paid (S12).
    async fn ask(&self, now: Option<Micros>, asks: &[&Ask], order: Order, until: Instant) -> Vec<Result<Answer, StoreError>> {
        let mut answers = Vec::with_capacity(asks.len());
        let (mut places, mut again, mut moment) = (Vec::new(), Vec::new(), 0);
        for (reply, ask) in self.send(now, self.now_us(now), asks, order, until).await.into_iter().zip(asks) {
            if let Ok(Reply::Stale { now_us }) = reply {
                moment = now_us;
                places.push(answers.len());
                again.push(*ask);
            }
            answers.push(reply.map(Reply::last));
        }
        if again.is_empty() {
            return answers;
        }
        for (place, reply) in places.into_iter().zip(self.send(now, moment, &again, order, until).await) {
            if let Some(answer) = answers.get_mut(place) {
                *answer = reply.map(Reply::last);
            }
        }
        answers
    }

    /// Decides a batch: each ask has its own outcome, whatever became of the others.
    async fn decide_at(&self, now: Option<Micros>, asks: &[Ask], order: Order) -> Vec<Result<Answer, StoreError>> {
        // What no store decides is faulty, and the others are decided (S12).
        let fine: Vec<&Ask> = asks.iter().filter(|ask| !ask.charge.is_oversized()).collect();
        let mut decided = Vec::with_capacity(fine.len());
        let until = Instant::now() + self.deadline;
        for call in calls(&fine) {
            decided.extend(self.ask(now, fine.get(call).unwrap_or_default(), order, until).await);
        }
        if fine.len() == asks.len() {
            return decided;
        }
        let mut decided = decided.into_iter();
        let answer = |ask: &Ask| match ask.charge.is_oversized() {
            true => Ok(Answer::faulty(self.now_us(now))),
            false => decided.next().unwrap_or(Err(StoreError::Garbled)),
        };
        asks.iter().map(answer).collect()
    }

    /// Sends asks in as few calls as their limits allow: in a call a key has one. Whoever asks waits for all of them no longer than for one; what is not sent until then, or
    /// once a call before it came to nothing, is not charged (S24).
    async fn send(
        &self,
        now: Option<Micros>,
        periods_at: u64,
        asks: &[&Ask],
        order: Order,
        until: Instant,
    ) -> Vec<Result<Reply, StoreError>> {
        let mut replies: Vec<Result<Reply, StoreError>> = asks.iter().map(|_| Err(StoreError::Away)).collect();
        let mut waiting: Vec<usize> = (0..asks.len()).collect();
        while !waiting.is_empty() {
            let within = until.saturating_duration_since(Instant::now());
            let mut batch = Batch::at(periods_at);
            // Where an order is asked for, nothing goes before what must wait; else whoever asks for one key under one limit waits for nobody who asks under others.
            let mut waits = false;
            let (these, others): (Vec<usize>, Vec<usize>) = waiting.into_iter().partition(|place| {
                let goes = !(waits && order == Order::Kept) && asks.get(*place).is_some_and(|ask| batch.ask(ask));
                waits |= !goes;
                goes
            });
            if these.is_empty() || within.is_zero() {
                break;
            }
            let sent: Vec<&Ask> = these.iter().filter_map(|place| asks.get(*place).copied()).collect();
            let told = self.decided(batch.command(now), &sent, within).await;
            let is_over = matches!(told, Err(StoreError::Away | StoreError::Late | StoreError::Broken));
            for (place, reply) in these.into_iter().zip(each(told, sent.len())) {
                if let Some(told) = replies.get_mut(place) {
                    *told = reply;
                }
            }
            if is_over {
                break;
            }
            waiting = others;
        }
        replies
    }

    async fn decided(&self, command: redis::Cmd, asks: &[&Ask], within: Duration) -> Result<Vec<Reply>, StoreError> {
        let reply = self.script(command, within).await?;
        let mut replies = Replies::read(&reply)?;
        let read = asks.iter().map(|ask| replies.answer(ask)).collect::<Result<Vec<_>, _>>()?;
        replies.end()?.tell();
        Ok(read)
    }

    /// Adjusts: the store's moment, and whether each was done; none where its calendar was stale and nothing was changed.
    async fn changed(&self, command: redis::Cmd, changes: usize) -> Result<(u64, Vec<Option<bool>>), StoreError> {
        let reply = self.script(command, self.deadline).await?;
        let mut replies = Replies::read(&reply)?;
        let done = (0..changes).map(|_| replies.done()).collect::<Result<Vec<_>, _>>()?;
        let moment = replies.now_us();
        replies.end()?.tell();
        Ok((moment, done))
    }

    /// Which moment's periods are sent for calendars.
    fn now_us(&self, now: Option<Micros>) -> u64 {
        now.map_or_else(|| self.clock.now_us(), |now| now.0)
    }
}

/// Where calls begin and end, so that none holds more levels than it may.
fn calls(asks: &[&Ask]) -> Vec<Range<usize>> {
    let mut calls = Vec::new();
    let (mut start, mut levels) = (0, 0);
    for (index, ask) in asks.iter().enumerate() {
        let more = ask.charge.levels().count() + 1;
        if levels + more > CALL_LEVELS && index > start {
            calls.push(start..index);
            (start, levels) = (index, 0);
        }
        levels += more;
    }
    if start < asks.len() {
        calls.push(start..asks.len());
    }
    calls
}

#[async_trait]
impl Store for RedisStore {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.decide_at(now, asks, Order::Kept).await.into_iter().collect()
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        self.decide_at(None, asks, Order::Any).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for RedisStore {
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        let (mut all, mut rest) = (Vec::with_capacity(adjustments.len()), adjustments);
        while !rest.is_empty() {
            let mut batch = Batch::at(self.now_us(now));
            let taken = rest.iter().take(CALL_CHANGES).take_while(|change| batch.adjustment(change)).count().max(1);
            let (these, others) = rest.split_at(taken);
            rest = others;
            let (moment, first) = match self.changed(batch.command(now), taken).await {
                Ok(changed) => changed,
                Err(error) => {
                    all.extend(these.iter().map(|_| Err(error.clone())));
                    continue;
                }
            };
            for (done, change) in first.into_iter().zip(these) {
                all.push(match done {
                    Some(done) => Ok(done),
                    // Nothing was changed: once more, for the store's own moment.
                    None => {
                        let mut again = Batch::at(moment);
                        again.adjustment(change);
                        self.changed(again.command(now), 1).await.map(|(_, again)| again.into_iter().flatten().next().unwrap_or(false))
                    }
                });
            }
        }
        all
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        let mut told = Vec::with_capacity(tallies.len());
        for call in tallies.chunks(CALL_CHANGES) {
            let mut batch = Batch::at(self.now_us(now));
            call.iter().for_each(|tally| batch.tally(tally));
            let done = self.changed(batch.command(now), call.len()).await.map(|_| ());
            told.extend(call.iter().map(|_| done.clone()));
        }
        told
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        // In parts: an hour of many lines must not hold up the decisions behind it. A tenant's own store may say that there is ever more (S12).
        let (mut cursor, mut lines) = (0_u64, std::collections::BTreeMap::<String, (u64, u64)>::new());
        for _ in 0..METER_CALLS {
            let mut command = redis::cmd("HSCAN");
            command.arg(format!("{account}:meter:{}", hour.0)).arg(cursor).arg("COUNT").arg(METER_PART);
            let part = redis::from_redis_value::<(u64, Vec<(String, u64)>)>(self.call(&command, self.deadline).await?);
            let (next, fields) = part.map_err(|_| StoreError::Garbled)?;
            for (field, amount) in fields {
                if let Some(line) = field.strip_suffix(":a") {
                    lines.entry(line.to_owned()).or_default().0 = amount;
                } else if let Some(line) = field.strip_suffix(":d") {
                    lines.entry(line.to_owned()).or_default().1 = amount;
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(lines.into_iter().map(|(line, (admitted, denied))| Metered { line, admitted, denied }).collect());
            }
            if lines.len() > METER_FIELDS {
                break;
            }
        }
        Err(StoreError::Garbled)
    }
}
