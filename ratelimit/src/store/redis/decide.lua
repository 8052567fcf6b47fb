-- Decides a batch of asks, in order, each all or none. Why a script: to read several buckets, judge them together and write them is one step
-- that no other client may divide, and one call carries a whole batch (a call costs about 35 us in the store whatever it does).
-- The rules are those of ratelimit/src/model.rs and state.rs, and a test holds the two against each other.
--
-- KEYS      the distinct accounts of the batch: hashes whose fields are buckets. Each is read once and written at most once. A meter is the
--           account's name with `:meter:` and the hour after it: the same hash tag, so the same slot of a cluster.
-- ARGV[1]   now, in microseconds since 1970; empty: the store's own TIME. Only tests and simulations give it.
-- ARGV[2]   the batch, packed little-endian so that nothing is parsed from decimals. H is u16, B u8, d double; indices count from 1:
--             H calendars, H limits, H shapes, H items
--             for each account H fields; for each shape H levels
--             for each account: for each field H length and its name. Fields are numbered through all accounts: that number is the key
--             for each calendar: d start, d end, d start, d end (this period and the next)
--             for each limit: B kind, and
--               0 token bucket: d requests, d period_us, d capacity      1 window: d length_us, d 1, d limit
--               2 sliding window: d slice_us, d 1, d limit               3 calendar: d calendar, d 1, d limit
--             for each shape: H account of the meter or 0, H length and the line of the meter; for each level H key, B role, H limit
--               roles: 0 hold, 1 guarantee (or in shadow: then nothing shared is behind it), 2 shared, 3 count
--             for each item: B op, H copies, H shape, d number, and
--               0 charge (number: the cost)            1 charge, and ahead: H want, H share, d ttl_us       2 charge of parts: B parts, each H shape, d cost
--               3 reset    4 grant (number: requests)    5 return (number: unused): d held, d taken_us        6 tally (number: admitted): d denied
--             and zeros, so that the head of an item can be read wherever one begins. What a reset, grant or return changes is a shape of one level.
-- Reply     one packed string: d now, then for each item B state (0 decided, 2 faulty: a key holds no bucket, 3 stale: neither period of a
--           calendar is now; nothing was charged in both); for a charge decided also H admitted, for each level what it held before (d credit, for a
--           sliding window d frees, d clears too), and for an ahead d granted, d until.
--
-- A field holds, in doubles that are all integers below 2^53 and so exact: a token bucket credit, at, period_us (what a unit of the credit is: one
-- request is period_us units), where replicas hold tokens in advance the units taken in the epoch before, in this one, and its number (an epoch
-- is HOLD_US; what was taken in one is held until the next is over), when it is full again, and a byte that no other kind has; a window or calendar
-- its start and count; a sliding window the newest slice and the counts from that one back. `x` says until when the account is kept: at least until
-- everything in it is as if it had never been used, which is what an absent field means.
--
-- Nothing survives a call, and every function and table costs each call its making: so there are few, token buckets are decided in the loop
-- itself, and the other kinds have functions only in the batches that hold them. What is looked up by number is a table with room for all of them from
-- the start: one that grows, or is not filled in order, costs several times as much.

local EXACT, SLICES, METER_KEPT_MS, HOLD_US = 9007199254740992, 60, 3456000000, 2000000
local SWEEP, SWEPT, HOUR_US = 64, 16, 3600000000 -- one write in so many looks at so many fields
local floor, max, min, rep = math.floor, math.max, math.min, string.rep
local unpack_at, pack, unpack = struct.unpack, struct.pack, unpack
local call, pcall = redis.call, redis.pcall

local now, keep_ms, late
if ARGV[1] == '' then
  local time = call('TIME')
  -- A clock that is set back by less than an hour finds everything that it knew.
  now, keep_ms, late = time[1] * 1000000 + time[2], 1000, HOUR_US
else
  -- Simulated time does not pass with the store's, and may jump by days: such keys stay for an hour of real time.
  now, keep_ms, late = tonumber(ARGV[1]), 3600000, 720 * HOUR_US
end

local batch = ARGV[2]
local calendars, limits, shapes, items, pos = unpack_at('<HHHH', batch)
local accounts = #KEYS
local fields = { unpack_at('<' .. rep('H', accounts), batch, pos) }
pos = fields[accounts + 1]
local levels = { unpack_at('<' .. rep('H', shapes), batch, pos) }
pos = levels[shapes + 1]

local keys, nothing = 0, {}
for a = 1, accounts do keys = keys + fields[a] end
-- A table with room for so many.
local function room(n) return { unpack(nothing, 1, n) } end

-- What the store has, by key: `raw` as it was read, or parsed:
-- `one` what counts (credit, count, or the counts), `two` since when (at, start, newest), and of token buckets `three` the period and
-- what is held: taken in the epoch before (`older`), in this one (`newer`), its number. `held`: whether anything is.
local raw, one, two, three = room(keys), room(keys), room(keys), room(keys)
local older, newer, epoch, held = {}, {}, {}, false
local names, kept = room(accounts), room(accounts)
local format, formats = nil, {}
local lost = {} -- what a key of an account that is no hash holds: nothing that could be a value
keys = 0
for a = 1, accounts do
  local n = fields[a]
  if n > 0 then
    format = formats[n]
    if not format then
      format = '<' .. rep('Hc0', n)
      formats[n] = format
    end
    local texts = { unpack_at(format, batch, pos) }
    pos = texts[n + 1]
    texts[n + 1] = 'x'
    local values = pcall('HMGET', KEYS[a], unpack(texts))
    if values.err then
      for i = 1, n do raw[keys + i] = lost end
    else
      for i = 1, n do raw[keys + i] = values[i] end
      kept[a] = values[n + 1]
    end
    names[a] = texts
    keys = keys + n
  end
end

-- Of each calendar the period that now is in; a calendar without one is stale.
local starts, ends = {}, {}
for c = 1, calendars do
  local s1, e1, s2, e2
  s1, e1, s2, e2, pos = unpack_at('<dddd', batch, pos)
  if s1 <= now and now < e1 then
    starts[c], ends[c] = s1, e1
  elseif s2 <= now and now < e2 then
    starts[c], ends[c] = s2, e2
  end
end

-- Of each limit its kind, and what it says: many levels share one. `plain`: all are token buckets.
local kinds, rates, units, caps, plain = room(limits), room(limits), room(limits), room(limits), true
for l = 1, limits do
  kinds[l], rates[l], units[l], caps[l], pos = unpack_at('<Bddd', batch, pos)
  plain = plain and kinds[l] == 0
end

-- By shape: its row is { meter, line, then for each level: key, role, limit }.
local rows = room(shapes)
formats = {}
for sh = 1, shapes do
  local n = levels[sh]
  format = formats[n]
  if not format then
    format = '<HHc0' .. rep('HBH', n)
    formats[n] = format
  end
  local row = { unpack_at(format, batch, pos) }
  pos = row[3 * n + 3]
  rows[sh] = row
end

-- A credit in units of another period.
local function in_units(c, from, to)
  local n = floor(c / from)
  local rest = c - n * from
  if rest < 0 then n, rest = n - 1, rest + from end
  if rest >= from then n, rest = n + 1, rest - from end
  local part
  if rest * to < EXACT then
    part = floor(rest * to / from)
  else
    part = max(floor((rest / from) * to) - 2, 0)
  end
  return max(min(n * to + part, EXACT), -EXACT)
end

-- What replicas hold of a token bucket now, in units of a period.
local function holds(k, unit)
  local h, g, e, p, turn = older[k], newer[k], epoch[k], three[k], floor(now / HOLD_US)
  if p ~= unit then h, g = max(in_units(h, p, unit), 0), max(in_units(g, p, unit), 0) end
  if turn == e + 1 then h, g = g, 0 elseif turn > e then h, g = 0, 0 end
  return h, g, h + g > 0 and max(e, turn) or turn
end

local look, frees
if not plain then
  local function whole(n, least) return n == floor(n) and n >= least and n <= EXACT end

  -- What a window, a calendar or a sliding window holds now: credit, and its state (one, two) at this moment. A copy: only a payment keeps it.
  -- Nothing, and why: it holds no bucket (2), or its calendar is stale (3).
  look = function(k, kind, rate, limit)
    local start = kind == 1 and now - now % rate or starts[rate]
    if kind == 3 and not start then return nil, 3 end
    local value, counts, at = raw[k], one[k], two[k]
    if value and not counts then
      local n = #value
      if kind ~= 2 and n == 16 then
        at, counts = unpack_at('<dd', value)
        if not (whole(at, 0) and whole(counts, -EXACT)) then return nil, 2 end
      elseif kind == 2 and n % 8 == 0 and n >= 8 and n <= 8 * (SLICES + 2) then
        counts = { unpack_at('<' .. rep('d', n / 8), value) }
        counts[n / 8 + 1] = nil
        at = table.remove(counts, 1)
        if not whole(at, 0) then return nil, 2 end
        for i = 1, #counts do
          if not whole(counts[i], 0) then return nil, 2 end
        end
      else
        return nil, 2
      end
    elseif three[k] or (counts and (type(counts) == 'table') ~= (kind == 2)) then
      return nil, 2
    end
    if kind ~= 2 then
      if not counts or start > at then counts, at = 0, start end
      return max(limit - counts, limit - EXACT), counts, at
    end
    local slice, fresh, used = floor(now / rate), {}, 0
    if counts then
      local passed = max(slice - at, 0)
      for i = 1, passed <= SLICES and #counts > 0 and passed or 0 do fresh[i] = 0 end
      for i = 1, passed <= SLICES and min(#counts, SLICES + 1 - passed) or 0 do fresh[#fresh + 1] = counts[i] end
      slice = max(slice, at)
    end
    for i = 1, #fresh do used = min(used + fresh[i], EXACT) end
    return max(limit - used, limit - EXACT), fresh, slice
  end

  -- When a sliding window would let the cost pass, and when nothing in it counts any more.
  frees = function(counts, newest, slice, limit, cost)
    local used = 0
    for i = 1, #counts do used = min(used + counts[i], EXACT) end
    local left, at = max(limit - used, limit - EXACT), 0
    for i = #counts, 1, -1 do
      if limit > 0 and cost <= limit and left >= cost then break end
      left = left + counts[i]
      at = (newest - i + 1 + SLICES + 1) * slice
    end
    return at, used == 0 and now or (newest + SLICES + 1) * slice
  end
end

local admitted_of, denied_of = room(shapes), room(shapes) -- by shape, for its meter
local paid = room(keys) -- by key that something was paid from: the limit that its state is kept under
local forgotten -- keys that were reset
local credits, fits, ones, twos, seen = room(8), room(8), room(8), room(8), room(8) -- of the levels of one part; made once for all
local replies = room(items + 1)
replies[1] = pack('<d', now)
formats = {}

for item = 1, items do
  local op, copies, sh, cost
  op, copies, sh, cost, pos = unpack_at('<BHHd', batch, pos)
  local number, from, parts = cost, pos, 1
  local want, share, ttl, undo
  if op == 1 then
    -- What is paid in advance is a second part, of the copies that are wanted.
    parts, want, share, ttl, pos = 2, unpack_at('<HHd', batch, pos)
  elseif op == 2 then
    parts, pos = unpack_at('<B', batch, pos)
    -- What the keys held before, in case that a later part is denied.
    from, undo = pos, {}
  elseif op >= 3 then
    -- Looks, and changes the one level afterwards.
    copies, cost = 1, 0
  end
  local state, admitted, saw, granted, until_us = 0, op == 2 and 1 or copies, 0, 0, 0

  for part = 1, op == 3 and 0 or parts do
    local each, ahead = copies, false
    if undo then
      each = 1
      sh, cost, pos = unpack_at('<Hd', batch, pos)
    elseif part == 2 then
      ahead, each = true, want * share
      if admitted < copies or cost == 0 or want == 0 then break end
      until_us = now + min(ttl, HOLD_US)
    end
    if state ~= 0 then break end
    local row = rows[sh]
    local last, pass, guaranteed = levels[sh], each, 0

    -- What each level holds, and how many copies it covers.
    for i = 1, last do
      local k, role, l = row[3 * i], row[3 * i + 1], row[3 * i + 2]
      local kind, unit, cap, credit, at = kinds[l], units[l], caps[l], nil, nil
      if kind == 0 then
        local full, p = cap * unit, nil
        credit, at, p = one[k], two[k], three[k]
        local value = not credit and raw[k]
        if value then
          local n = #value
          if n ~= 33 and n ~= 57 then
            state = 2
            break
          end
          -- Whole numbers within what is exact; no comparison holds for what is no number.
          credit, at, p = unpack_at('<ddd', value)
          if not (credit >= -EXACT and credit <= EXACT and at >= 0 and at <= EXACT and p >= 1 and p <= EXACT
              and credit % 1 + at % 1 + p % 1 == 0) then
            state = 2
            break
          end
          if n == 57 then
            local h, g, e = unpack_at('<ddd', value, 25)
            if not (h >= 0 and h <= EXACT and g >= 0 and g <= EXACT and e >= 0 and e <= EXACT and h % 1 + g % 1 + e % 1 == 0) then
              state = 2
              break
            end
            one[k], two[k], three[k], older[k], newer[k], epoch[k], held = credit, at, p, h, g, e, true
          end
        end
        if credit then
          -- A changed limit bounds the credit; a clock that went backwards adds nothing.
          local top = full
          if p ~= unit then
            if not p then
              state = 2
              break
            end
            credit = in_units(credit, p, unit)
          end
          if held and older[k] then
            -- Of a limit that was lowered below what is held nothing is left; what is held was paid, and is no debt.
            local h, g = holds(k, unit)
            top = max(full - h - g, 0)
          end
          if credit > top then credit = top elseif credit < full - EXACT then credit = full - EXACT end
          if now > at then
            local gain = (now - at) * rates[l]
            if gain >= top - credit then credit = top else credit = credit + gain end
          end
        else
          credit = full
        end
      else
        credit, ones[i], at = look(k, kind, rates[l], cap)
        if not credit then
          state = ones[i]
          break
        end
      end
      credits[i], twos[i] = credit, at

      -- The guarantee pays first, and puts the shared bucket into debt if need be. A limit of 0 covers nothing, not even a look.
      local need = cost * unit
      if need > EXACT then need = EXACT end
      local covered, most = 0, each
      if role == 2 and guaranteed > 0 then
        credit, most = max(credit - need * guaranteed, cap * unit - EXACT), each - guaranteed
      end
      if cap > 0 and cost <= cap and credit >= need then
        covered = most
        if need * most > credit then
          covered = floor(credit / need)
          if covered * need > credit then covered = covered - 1 end
          if covered > most then covered = most end
        end
      end
      if role == 1 then
        guaranteed, fits[i] = covered, covered
      else
        if role == 2 then
          if cap > 0 then covered = covered + guaranteed end
          guaranteed = 0
        end
        if covered < pass then pass = covered end
      end
    end
    if state ~= 0 then break end
    if ahead then
      pass = floor(pass / share)
      granted = pass
    elseif pass < admitted then
      admitted = pass
    end

    -- Each level pays.
    for i = 1, last do
      local k, role, l = row[3 * i], row[3 * i + 1], row[3 * i + 2]
      local kind, unit, credit, pays = kinds[l], units[l], credits[i], pass
      if role == 1 then
        if fits[i] < pass then pays = fits[i] end
      elseif role == 3 and not ahead then
        pays = each
      end
      if not ahead then
        saw = saw + 1
        seen[saw] = credit
      end
      local pay = cost * unit
      if pay > EXACT then pay = EXACT end
      pay = pay * pays
      if undo and not undo[k] then
        undo[k] = { one[k] or false, two[k], three[k], older[k], newer[k], epoch[k], paid[k], false }
      end
      if pay > 0 or undo then
        if kind == 0 then
          local after, at, least = credit - pay, twos[i], caps[l] * unit - EXACT
          if after < least then after = least end
          if held and older[k] then older[k], newer[k], epoch[k] = holds(k, unit) end
          if ahead then
            -- Not there twice: what is held does not refill.
            if not older[k] then older[k], newer[k], epoch[k], held = 0, 0, floor(now / HOLD_US), true end
            newer[k] = min(newer[k] + pay, EXACT)
          end
          if not at or now > at then at = now end
          one[k], two[k], three[k] = after, at, unit
        else
          local counts = ones[i]
          if kind ~= 2 then
            counts = min(counts + cost * pays, EXACT)
          elseif pay > 0 then
            counts[1] = min((counts[1] or 0) + cost * pays, EXACT)
          end
          one[k], two[k] = counts, twos[i]
        end
      end
      -- What is kept is in the units of the limit that it was looked at under last, and so is when it is full again.
      if pay > 0 or undo and paid[k] then paid[k] = l end
      if pay > 0 and undo then undo[k][8] = true end
      if kind == 2 and not ahead then
        seen[saw + 1], seen[saw + 2] = frees(ones[i], twos[i], rates[l], caps[l], cost)
        saw = saw + 2
      end
      if ahead and granted > 0 and kind > 0 then
        -- What is held beyond the end of a window would count in the wrong one.
        local rate = rates[l]
        until_us = min(until_us, kind == 3 and ends[rate] or (floor(now / rate) + 1) * rate)
      end
    end
  end

  if op <= 2 then
    if undo then
      -- What a charge that is denied or faulty did never happened, and a key that nothing was paid from stays as it was.
      for k, before in pairs(undo) do
        if state ~= 0 or admitted == 0 or not before[8] then
          one[k], two[k], three[k], older[k], newer[k], epoch[k], paid[k] = before[1] or nil, unpack(before, 2, 7)
        end
      end
      pos = from + 10 * parts
    end
    if state ~= 0 then
      replies[item + 1] = string.char(state)
    else
      for part = 1, undo and parts or 1 do
        if undo then sh, cost, from = unpack_at('<Hd', batch, from) end
        if rows[sh][1] > 0 and cost > 0 then
          admitted_of[sh] = (admitted_of[sh] or 0) + cost * admitted
          denied_of[sh] = (denied_of[sh] or 0) + cost * (copies - admitted)
        end
      end
      if op == 1 then
        if granted == 0 then until_us = 0 end
        seen[saw + 1], seen[saw + 2] = granted, until_us
        saw = saw + 2
      end
      format = formats[saw]
      if not format then
        format = '<BH' .. rep('d', saw)
        formats[saw] = format
      end
      replies[item + 1] = pack(format, 0, admitted, unpack(seen, 1, saw))
    end
  elseif op == 6 then
    local denied
    denied, pos = unpack_at('<d', batch, pos)
    admitted_of[sh], denied_of[sh] = (admitted_of[sh] or 0) + number, (denied_of[sh] or 0) + denied
    replies[item + 1] = string.char(0)
  else
    local row, released, taken = rows[sh], 0, EXACT
    if op == 5 then released, taken, pos = unpack_at('<dd', batch, pos) end
    local k, l = row[3], row[5]
    local kind, rate, unit, limit = kinds[l], rates[l], units[l], caps[l]
    if op == 3 then
      -- Whatever the field holds, it is forgotten. An account that is none is left as it is.
      if kind == 3 and not starts[rate] then
        state = 3
      elseif raw[k] == lost then
        state = 2
      else
        raw[k], one[k], two[k], three[k], older[k], newer[k], epoch[k], paid[k] = nil, nil, nil, nil, nil, nil, nil, nil
        if kind == 3 or kind == 1 then
          -- The window begins now: what leases took before was never counted in it, and is no grant when it comes back.
          one[k], two[k], paid[k] = 0, now, l
        else
          forgotten = forgotten or {}
          forgotten[k] = true
        end
      end
    elseif state == 0 then
      local more, full, changed = min(number * unit, EXACT), limit * unit, true
      if kind == 0 then
        local h, g, e = 0, 0, floor(now / HOLD_US)
        if held and older[k] then h, g, e = holds(k, unit) end
        if op == 5 then
          local age = e - floor(taken / HOLD_US)
          released = min(released * unit, EXACT)
          -- What is held no longer has been refilled, or an operator reset it: coming back now it would be there twice.
          changed = age == 0 or age == 1
          if released > 0 then more = min(more, age == 0 and g or h) end
          if age == 0 then g = max(g - released, 0) elseif age == 1 then h = max(h - released, 0) end
        end
        if changed then
          older[k], newer[k], epoch[k], three[k], held = h, g, e, unit, true
          one[k] = min(credits[1] + more, max(full - h - g, credits[1]))
          two[k] = max(twos[1] or now, now)
        end
      elseif kind ~= 2 then
        one[k], two[k] = ones[1], twos[1]
        -- What comes back to a window that has forgotten it (an operator reset it) is no grant.
        if taken >= two[k] then one[k] = max(one[k] - more, op == 5 and min(one[k], 0) or -EXACT) end
      else
        local counts, age = ones[1], 0
        one[k], two[k] = counts, twos[1]
        if op == 5 then age = max(two[k] - floor(taken / rate), 0) end
        for i = age + 1, #counts do
          local back = min(more, counts[i])
          counts[i], more = counts[i] - back, more - back
          if op == 5 then break end
        end
      end
      if changed then paid[k] = l end
    end
    replies[item + 1] = string.char(state)
  end
end

-- Writes each account once.
local out = {}
keys = 0
for a = 1, accounts do
  local size, clears = 0, now
  for i = 1, fields[a] do
    local k = keys + i
    local l = paid[k]
    if l then
      local kind, rate, credit, since, value = kinds[l], rates[l], one[k], two[k], nil
      if kind == 0 then
        local h, g, full = held and older[k], newer[k], EXACT
        -- A charge may hold one key under two limits, the later of which never refills: the script must not fail for it.
        if rate > 0 then full = since - floor((credit - caps[l] * units[l]) / rate) end
        if h and h + g > 0 then
          local held = (epoch[k] + (g > 0 and 2 or 1)) * HOLD_US
          clears = max(clears, held)
          value = pack('<dddddddB', credit, since, three[k], h, g, epoch[k], max(full, held), 0)
        else
          value = pack('<ddddB', credit, since, three[k], full, 0)
        end
        if rate > 0 then since = full end
      elseif kind == 2 then
        value = pack('<d' .. rep('d', #credit), since, unpack(credit))
        since = (since + SLICES + 1) * rate
      else
        value = pack('<dd', since, credit)
        since = kind == 3 and ends[rate] or now - now % rate + rate
      end
      if since > clears then clears = since end
      out[size + 1], out[size + 2] = names[a][i], value
      size = size + 2
    elseif forgotten and forgotten[k] then
      call('HDEL', KEYS[a], names[a][i])
    end
  end
  keys = keys + fields[a]
  if size > 0 then
    local x, keep = kept[a], nil
    x = x and #x == 8 and unpack_at('<d', x) or 0
    -- Twice as far as needed, so that a busy account renews its expiry now and then and not at each write.
    if clears > x or x == 0 then
      keep = max(-floor((now - clears) / 500), keep_ms)
      out[size + 1], out[size + 2] = 'x', pack('<d', now + keep * 1000)
      size = size + 2
    end
    call('HSET', KEYS[a], unpack(out, 1, size))
    if keep then call('PEXPIRE', KEYS[a], string.format('%.0f', keep)) end
    if (now + a) % SWEEP == 0 then
      -- What nobody asks for any more (a subscription was renamed) would stay for as long as its account is busy.
      -- A login that may not do this decides all the same: an error holds no fields.
      local some = pcall('HRANDFIELD', KEYS[a], SWEPT, 'WITHVALUES')
      for i = 1, #some, 2 do
        local value, over = some[i + 1], EXACT
        local n = #value
        if n == 33 or n == 57 then
          over = unpack_at('<d', value, n - 8)
        else
          -- The other kinds are told by the name of their window, and what has none stays.
          local kind, rest = string.match(some[i], ':(%l+)/([^:]*)$')
          if kind == 'sliding' and n >= 8 and tonumber(rest) then
            over = (unpack_at('<d', value) + SLICES + 1) * math.ceil(rest * 1000000 / SLICES)
          elseif kind and n == 16 then
            over = unpack_at('<d', value) + (kind == 'hour' and 2 or kind == 'day' and 48 or 768) * HOUR_US
          end
        end
        if over + late < now then call('HDEL', KEYS[a], some[i]) end
      end
    end
  end
end

-- Counts at the meters, one step a line. A meter that something else has overwritten must not take the decisions with it.
local hour
for sh = 1, shapes do
  local admitted, denied = admitted_of[sh], denied_of[sh]
  if admitted then
    local row = rows[sh]
    hour = hour or ':meter:' .. floor(now / 3600000000)
    local meter = KEYS[row[1]] .. hour
    if admitted > 0 then
      if admitted > EXACT then admitted = EXACT end
      if pcall('HINCRBY', meter, row[2] .. ':a', admitted) == admitted then pcall('PEXPIRE', meter, METER_KEPT_MS) end
    end
    if denied > 0 then
      if denied > EXACT then denied = EXACT end
      if pcall('HINCRBY', meter, row[2] .. ':d', denied) == denied then pcall('PEXPIRE', meter, METER_KEPT_MS) end
    end
  end
end

return table.concat(replies)
