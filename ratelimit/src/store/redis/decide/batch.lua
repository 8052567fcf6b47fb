-- Decides a batch of asks, in order, each all or none. Why a script: to read several buckets, judge them together and write them is one step
-- that no other client may divide, and one call carries a whole batch (a call costs about as much as three decisions whatever it does).
-- The rules are those of ratelimit/src/model.rs and state.rs, and a test holds the two against each other.
--
-- KEYS      the distinct accounts of the batch: hashes whose fields are buckets. Each is read once (all twice where one needs what is rare) and written at most once. A meter is the
--           account's name with `:meter:` and the hour after it: the same hash tag, so the same slot of a cluster. How many fields those of a
--           day have got is counted beside them, at `:metered:` and the day.
-- ARGV[1]   now, in microseconds since 1970; empty: the store's own TIME. Only tests and simulations give it.
-- ARGV[2]   the batch, in MessagePack: numbers and texts one after the other, or in one array where they are more than Lua's stack takes. A limit, a
--           calendar and a shape are named by the place where they begin, counted from 1; accounts, and keys through all accounts, by number.
--             the place of the first account, of the first shape, of the first item; how many calendars there are; how many keys; whether there is anything
--             but charges of one part, without anything ahead, to token buckets (1), or not (0)
--             each calendar: start, end, start, end (this period and the next)
--             each limit:    token bucket: requests, period_us, capacity, 0       window: length_us, 1, limit, 1
--                            sliding window: slice_us, 1, limit, 2                calendar: the calendar, 1, limit, 3
--                            token bucket that something is given back to, under the limit of what it holds for replicas, else under this: as above, 4
--             each account:  how many keys; if there are any the name of the field of each, `x`, and the limit of each
--             each shape:    0, 0 (what its meter will count), the account of the meter or 0, the line of it, how many levels,
--                            and for each level key, role; role: 0 hold, 1 guarantee (or in shadow: then nothing shared is behind it), 2 shared, 3 count;
--                            and 4 times the limit more in a batch of one charge that holds a key under several
--             each item:     0 charge: copies, shape, cost                        1 charge, and ahead: copies, shape, cost, want, share, ttl_us, and to be
--                            counted at its meter besides: admitted, denied
--                            2 charge of parts: how many, each shape, cost        3 reset: 1, shape, 0               4 grant: 1, shape, requests
--                            5 return: 1, shape, unused, held, taken_us           6 tally: 1, shape, admitted, denied
--           What a reset, grant or return changes is a shape of one level.
-- Reply     packed doubles: now, then for each item -2 (faulty: a key holds no bucket), -3 (stale: neither period of a calendar is now; nothing was
--           charged in both) or what was done: 0; for a charge how many were admitted, for each level what it held before (credit; for a sliding window
--           frees, clears too), and for an ahead granted, until. At the end, where there is any: costs that no meter took, and costs that one took without their names.
--
-- A field holds, in doubles that are all integers below 2^53 and so exact: a token bucket credit, at, period_us (what a unit of the credit is: one
-- request is period_us units), where replicas hold tokens in advance the units taken in the epoch before, in this one, and its number (an epoch
-- is HOLD_US; what was taken in one is held until the next is over), requests and capacity of the limit that it was last under, when it is full again, and a byte that no other kind has; a window or calendar
-- its start and count; a sliding window the newest slice and the counts from that one back. `x` (of a wide account with 64 bytes more) says until when the account is kept: at least until
-- everything in it is as if it had never been used, which is what an absent field means.
--
-- Nothing survives a call, and a call pays for each function and table that it makes: so there are few. The batch is one flat table, a key is looked at
-- once however many asks touch it, and token buckets are read and decided in the loops themselves; the other kinds, and what is rare, have functions, which
-- are made only for the calls that need them. The parts of the script are one text: this, rare.lua, accounts.lua, items.lua, writes.lua.

local EXACT, SLICES, METER_KEPT_MS, HOLD_US = 9007199254740992, 60, 3456000000, 8000000
local SWEEP, SWEPT, HOUR_US = 64, 16, 3600000000 -- one write in so many looks at so many fields
local METER_FIELDS, METER_DAY, UNNAMED = 20000, 100000, '0::0:' -- what a meter of more fields, in an hour or a day, counts anew is on the line without names
local WIDE = 64 -- an account of more fields is kept as a table
local floor, max, min, rep = math.floor, math.max, math.min, string.rep
local unpack_at, pack, unpack = struct.unpack, struct.pack, unpack
local call, pcall, KEYS = redis.call, redis.pcall, KEYS

local now, keep_ms, brief_ms, late
if ARGV[1] == '' then
  local time = call('TIME')
  -- Whoever comes back within a minute finds its account, and need not renew its expiry. A clock that is set back by less than an hour finds everything
  -- that it knew. An account of windows alone is a descriptor's: nobody comes back to it, and there may be as many as clients think of.
  now, keep_ms, brief_ms, late = time[1] * 1000000 + time[2], 60000, 1000, HOUR_US
else
  -- Simulated time does not pass with the store's, and may jump by days: such keys stay for an hour of real time.
  now, keep_ms, brief_ms, late = tonumber(ARGV[1]), 3600000, 3600000, 720 * HOUR_US
end

local batch = { cmsgpack.unpack(ARGV[2]) }
if type(batch[1]) == 'table' then batch = batch[1] end

-- Of each calendar the period that now is in comes first; a calendar without one is stale.
for c = 7, 4 * batch[4] + 3, 4 do
  if now < batch[c] or now >= batch[c + 1] then
    batch[c], batch[c + 1] = batch[c + 2], batch[c + 3]
    if now < batch[c] or now >= batch[c + 1] then batch[c] = false end
  end
end

-- What each key holds now, under its limit: `credits` in `units`; `moments`: at (if not now), start, newest; of token buckets of which replicas hold some, `held`:
-- taken in the epoch before, in this one, its number; of the other kinds `counts`: the count, or the counts. Where there is no credit, `faults` says why: no hash
-- (1), no bucket (2), a stale calendar (3). What something was paid from is `paid` and will be written; anything else is as the store has it.
-- With room for what one decision needs: a table that grows is copied at 1, 2, 4 and so on.
local credits, units = { nil, nil, nil, nil, nil, nil, nil, nil }, { nil, nil, nil, nil, nil, nil, nil, nil }
local limits, moments, held, counts, faults = { nil, nil, nil, nil, nil, nil, nil, nil }, {}, {}, {}, {}
local paid = { unpack({}, 1, batch[5]) } -- with room for all: a table that is not filled in order costs several times as much
local kept = { nil, nil, nil, nil } -- by account, its `x`
local forgotten = {} -- keys that were reset
local undo -- what keys held before a charge of parts
