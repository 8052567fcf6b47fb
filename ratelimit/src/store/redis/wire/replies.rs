//! What the script says of a batch. The layout is documented in `decide/batch.lua`.

use crate::{
    ask::{Answer, Ask, Seen},
    bucket::Bucket,
    metering::later::{unmetered, unnamed},
    store::StoreError,
};

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

/// Costs of a batch that are not on the bill as they should be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uncounted {
    /// No meter took them: something else has overwritten it, or this part of the slot is already another node's.
    pub(crate) lost: u64,
    /// The meter has as many lines as it may have: they are on the line without names.
    pub(crate) unnamed: u64,
}

impl Uncounted {
    /// Told to whoever watches.
    pub(crate) fn tell(self) {
        if self.lost > 0 {
            unmetered("meter", self.lost);
        }
        if self.unnamed > 0 {
            unnamed(self.unnamed);
        }
    }
}

/// A key holds no bucket.
const FAULTY: i64 = -2;

/// Neither period of a calendar is now.
const STALE: i64 = -3;

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
        match self.number().ok_or(StoreError::Garbled)? {
            0 => Ok(Some(true)),
            FAULTY => Ok(Some(false)),
            STALE => Ok(None),
            _ => Err(StoreError::Garbled),
        }
    }

    /// Ends the reply: what became of its costs at the meters, if not all was counted under its names.
    ///
    /// # Errors
    /// When something else is left.
    pub(crate) fn end(mut self) -> Result<Uncounted, StoreError> {
        let mut uncounted = Uncounted::default();
        if !self.rest.is_empty() {
            uncounted.lost = self.moment().ok_or(StoreError::Garbled)?;
            uncounted.unnamed = self.moment().ok_or(StoreError::Garbled)?;
        }
        if self.rest.is_empty() { Ok(uncounted) } else { Err(StoreError::Garbled) }
    }

    fn one(&mut self, ask: &Ask) -> Option<Reply> {
        let admitted = match self.number()? {
            FAULTY => return Some(Reply::Answer(Answer::faulty(self.now_us))),
            STALE => return Some(Reply::Stale { now_us: self.now_us }),
            // More than was asked for was never admitted (S9).
            admitted => u32::try_from(admitted).ok().filter(|admitted| *admitted <= ask.count)?,
        };
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

    #[expect(clippy::cast_possible_truncation, reason = "the script's numbers are integers within 2^53")]
    fn number(&mut self) -> Option<i64> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(f64::from_le_bytes(*number) as i64)
    }

    fn moment(&mut self) -> Option<u64> {
        Some(u64::try_from(self.number()?).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
