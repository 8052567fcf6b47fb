-- Decides a batch of asks, in order, each all or none. Why a script: to read several buckets, judge them together and write them is one step
-- that no other client may divide, and one call carries a whole batch (a call costs about 35 us in the store whatever it does).
-- The rules are those of ratelimit/src/model.rs and state.rs, and a test holds the two against each other.
--
-- KEYS      the distinct accounts of the batch: hashes whose fields are buckets. Each is read once and written at most once. A meter is the
--           account's name with `:meter:` and the hour after it: the same hash tag, so the same slot of a cluster.
-- ARGV[1]   now, in microseconds since 1970; empty: the store's own TIME. Only tests and simulations give it.
-- ARGV[2]   the batch, packed little-endian so that nothing is parsed from decimals. H is u16, B u8, d double; indices count from 1:
--             for each account: H keys, then for each H text (its field)
--             H slots, then for each (a key under a limit; a key has two only while a configuration changes): H key, B kind, and
--               0 token bucket: d requests, d period_us, d capacity        1 window: d length_us, d limit
--               2 sliding window: d slice_us, d limit                      3 calendar: d start, d end, d start, d end (this, next), d limit
--             H shapes, then for each: B levels, for each H slot, B role (0 hold, 1 guarantee, 2 shared, 3 count); H account of the meter or 0, H text
--             H items, then for each: B op, and
--               0 charge: H count, B parts, for each H shape, d cost       1 charge, and ahead: H want, H share, d ttl_us, then as 0
--               2 reset: H slot    3 grant: H slot, d requests    4 return: H slot, d unused, d held, d taken_us
--               5 tally: H shape, d admitted, d denied
-- ARGV[3..] the texts: fields, and lines of meters.
-- Reply     one packed string: d now, then for each item B state (0 decided, 2 faulty: a key holds no bucket, 3 stale: neither period of a
--           calendar is now; nothing was charged in both); for a charge decided also H admitted, H ahead, d until, and for each level what it held
--           before: d credit, for a sliding window d frees, d clears too.
--
-- A field holds, in doubles that are all integers below 2^53 and so exact: a token bucket credit, at, period_us (what a unit of the credit is: one
-- request is period_us units) and, where replicas hold tokens in advance, the units taken in the epoch before, in this one, and its number (an epoch
-- is HOLD_US; what was taken in one is held until the next is over); a window or calendar its start and count; a
-- sliding window the newest slice and the counts from that one back. `x` says until when the account is kept: at least until everything in it
-- is as if it had never been used, which is what an absent field means.

local EXACT, SLICES, METER_KEPT_MS, HOLD_US = 9007199254740992, 60, 3456000000, 2000000
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local unpack_at, pack = struct.unpack, struct.pack

local now, keep_ms
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now, keep_ms = time[1] * 1000000 + time[2], 1000
else
  -- Simulated time does not pass with the store's: such keys stay for an hour of real time.
  now, keep_ms = tonumber(ARGV[1]), 3600000
end

local batch, pos = ARGV[2], 1

-- What the store has: for each key its raw value, or bad.
local account_of, field_of, raw, bad, kept_until = {}, {}, {}, {}, {}
local keys = 0
for a = 1, #KEYS do
  local count, text
  count, pos = unpack_at('<H', batch, pos)
  local fields = {}
  for i = 1, count do
    text, pos = unpack_at('<H', batch, pos)
    fields[i] = ARGV[text + 2]
    account_of[keys + i], field_of[keys + i] = a, fields[i]
  end
  if count > 0 then
    fields[count + 1] = 'x'
    local values = redis.pcall('HMGET', KEYS[a], unpack(fields))
    if values.err then
      for i = 1, count do bad[keys + i] = true end
    else
      for i = 1, count do raw[keys + i] = values[i] end
      local kept = values[count + 1]
      kept_until[a] = kept and #kept == 8 and unpack_at('<d', kept) or 0
    end
    keys = keys + count
  end
end

local slots
slots, pos = unpack_at('<H', batch, pos)
-- unit_of: units of one request. limit_of: requests of an unused bucket. rate_of: units a microsecond, or the length of a window or slice.
local key_of, kind_of, unit_of, limit_of, rate_of, starts, ends, stale = {}, {}, {}, {}, {}, {}, {}, {}
for s = 1, slots do
  local kind
  key_of[s], kind, pos = unpack_at('<HB', batch, pos)
  kind_of[s], unit_of[s] = kind, 1
  if kind == 0 then
    rate_of[s], unit_of[s], limit_of[s], pos = unpack_at('<ddd', batch, pos)
  elseif kind == 3 then
    local s1, e1, s2, e2
    s1, e1, s2, e2, limit_of[s], pos = unpack_at('<ddddd', batch, pos)
    if now >= s1 and now < e1 then
      starts[s], ends[s] = s1, e1
    elseif now >= s2 and now < e2 then
      starts[s], ends[s] = s2, e2
    else
      stale[s] = true
    end
  else
    rate_of[s], limit_of[s], pos = unpack_at('<dd', batch, pos)
    if kind == 1 then
      starts[s] = now - now % rate_of[s]
      ends[s] = starts[s] + rate_of[s]
    end
  end
end

local shapes
shapes, pos = unpack_at('<H', batch, pos)
local slots_of, roles_of, meter_of, line_of, admitted_of, denied_of = {}, {}, {}, {}, {}, {}
for sh = 1, shapes do
  local levels
  levels, pos = unpack_at('<B', batch, pos)
  local of, roles = {}, {}
  for l = 1, levels do of[l], roles[l], pos = unpack_at('<HB', batch, pos) end
  slots_of[sh], roles_of[sh] = of, roles
  meter_of[sh], line_of[sh], pos = unpack_at('<HH', batch, pos)
end

local function whole(n, least, most) return n == floor(n) and n >= least and n <= most end

-- What a key holds, once parsed: 1 what counts (credit, count, or counts), 2 since when (at, start, newest), 3 period, 4 held of the epoch before, 5 of
-- this epoch, 6 its number.
local b1, b2, b3, b4, b5, b6 = {}, {}, {}, {}, {}, {} -- as the store will have it
local w1, w2, w3, w4, w5, w6 = {}, {}, {}, {}, {}, {} -- as it is within the charge of `stamp`
local stamp, paid = {}, {}

-- Reads a raw value; what is not of the kind makes the key bad.
local function parse(k, kind)
  local value = raw[k]
  raw[k] = nil
  if not value then return end
  local n = #value
  if kind == 0 and (n == 24 or n == 48) then
    local c, t, p = unpack_at('<ddd', value)
    local h, g, e = 0, 0, 0
    if n == 48 then h, g, e = unpack_at('<ddd', value, 25) end
    if whole(c, -EXACT, EXACT) and whole(t, 0, EXACT) and whole(p, 1, EXACT) and whole(h, 0, EXACT) and whole(g, 0, EXACT) and whole(e, 0, EXACT) then
      b1[k], b2[k], b3[k], b4[k], b5[k], b6[k] = c, t, p, h, g, e
      return
    end
  elseif (kind == 1 or kind == 3) and n == 16 then
    local t, c = unpack_at('<dd', value)
    if whole(t, 0, EXACT) and whole(c, -EXACT, EXACT) then
      b1[k], b2[k] = c, t
      return
    end
  elseif kind == 2 and n % 8 == 0 and n >= 8 and n <= 8 * (SLICES + 2) then
    local counts = { unpack_at('<' .. string.rep('d', n / 8), value) }
    counts[n / 8 + 1] = nil
    local newest = table.remove(counts, 1)
    local fine = whole(newest, 0, EXACT)
    for i = 1, #counts do fine = fine and whole(counts[i], 0, EXACT) end
    if fine then
      b1[k], b2[k] = counts, newest
      return
    end
  end
  bad[k] = true
end

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

-- Brings a key to this moment under a slot's limit, within the charge n: what it holds, or nothing if it holds no bucket.
-- A changed limit bounds the credit; a clock that went backwards adds nothing.
local function look(s, n)
  local k, kind = key_of[s], kind_of[s]
  if raw[k] then parse(k, kind) end
  if bad[k] then return nil end
  local one, two, p0, h, g, e
  if stamp[k] == n then
    one, two, p0, h, g, e = w1[k], w2[k], w3[k], w4[k], w5[k], w6[k]
  else
    one, two, p0, h, g, e = b1[k], b2[k], b3[k], b4[k], b5[k], b6[k]
    stamp[k] = n
  end
  local limit = limit_of[s]
  if kind == 0 then
    local p = unit_of[s]
    local full = limit * p
    if not one then
      w1[k], w2[k], w3[k], w4[k], w5[k], w6[k] = full, now, p, 0, 0, 0
      return full
    end
    if p0 ~= p then
      one = in_units(one, p0, p)
      h, g = max(in_units(h, p0, p), 0), max(in_units(g, p0, p), 0)
    end
    local top, least = full, full - EXACT
    if h > 0 or g > 0 then
      local epoch = floor(now / HOLD_US)
      if epoch == e + 1 then h, g = g, 0 elseif epoch > e then h, g = 0, 0 end
      e = (h > 0 or g > 0) and max(e, epoch) or 0
      -- Of a limit that was lowered below what is held nothing is left; what is held was paid, and is no debt.
      top = max(full - h - g, 0)
    else
      e = 0
    end
    if one > top then one = top elseif one < least then one = least end
    if now > two then
      local gain = (now - two) * rate_of[s]
      if gain >= top - one then one = top else one = one + gain end
      two = now
    end
    w1[k], w2[k], w3[k], w4[k], w5[k], w6[k] = one, two, p, h, g, e
    return one
  elseif kind == 2 then
    local slice = floor(now / rate_of[s])
    local counts = {}
    if one then
      local passed = max(slice - two, 0)
      for i = 1, passed <= SLICES and #one > 0 and passed or 0 do counts[i] = 0 end
      for i = 1, passed <= SLICES and min(#one, SLICES + 1 - passed) or 0 do counts[#counts + 1] = one[i] end
      slice = max(slice, two)
    end
    w1[k], w2[k] = counts, slice
    local used = 0
    for i = 1, #counts do used = min(used + counts[i], EXACT) end
    return max(limit - used, limit - EXACT)
  else
    if not one or starts[s] > two then one, two = 0, starts[s] end
    w1[k], w2[k] = one, two
    return max(limit - one, limit - EXACT)
  end
end

-- Units of a cost under a slot.
local function units(s, cost)
  return min(cost * unit_of[s], EXACT)
end

-- How many copies of a cost a credit covers. A limit of 0 covers nothing, not even a look.
local function covers(s, credit, cost, most)
  local limit, need = limit_of[s], units(s, cost)
  if limit == 0 or cost > limit or credit < need then return 0 end
  if need == 0 then return most end
  local copies = floor(credit / need)
  if copies * need > credit then copies = copies - 1 end
  return min(copies, most)
end

local function spend(s, credit, cost, copies)
  return max(credit - units(s, cost) * copies, limit_of[s] * unit_of[s] - EXACT)
end

local function pay(s, cost, copies)
  if cost == 0 or copies == 0 then return end
  local k, kind = key_of[s], kind_of[s]
  paid[k] = true
  if kind == 0 then
    w1[k] = spend(s, w1[k], cost, copies)
  elseif kind == 2 then
    w1[k][1] = min((w1[k][1] or 0) + cost * copies, EXACT)
  else
    w1[k] = min(w1[k] + cost * copies, EXACT)
  end
end

local dirty = {} -- by account: the keys to write, each once
local slot_of = {} -- the slot that a key was last paid under
local function commit(s)
  local k = key_of[s]
  if not paid[k] then return end
  paid[k] = nil
  b1[k], b2[k], b3[k], b4[k], b5[k], b6[k] = w1[k], w2[k], w3[k], w4[k], w5[k], w6[k]
  if slot_of[k] == nil then
    local list = dirty[account_of[k]]
    if not list then
      list = {}
      dirty[account_of[k]] = list
    end
    list[#list + 1] = k
  end
  slot_of[k] = s
end

-- When a sliding window would let the cost pass, and when nothing in it counts any more.
local function sliding(s, cost)
  local k, slice = key_of[s], rate_of[s]
  local counts, newest = w1[k], w2[k]
  local used = 0
  for i = 1, #counts do used = min(used + counts[i], EXACT) end
  local left, frees = max(limit_of[s] - used, limit_of[s] - EXACT), 0
  for i = #counts, 1, -1 do
    if covers(s, left, cost, 1) > 0 then break end
    left = left + counts[i]
    frees = (newest - i + 1 + SLICES + 1) * slice
  end
  return frees, used == 0 and now or (newest + SLICES + 1) * slice
end

local function passing(of, roles, credits, cost, copies)
  local pass, guaranteed = copies, 0
  for l = 1, #of do
    local s, role = of[l], roles[l]
    if role == 1 then
      guaranteed = covers(s, credits[l], cost, copies)
    else
      local covered = 0
      if role ~= 2 then
        covered = covers(s, credits[l], cost, copies)
      elseif limit_of[s] > 0 then
        covered = guaranteed
        if covered < copies then
          covered = covered + covers(s, spend(s, credits[l], cost, guaranteed), cost, copies - guaranteed)
        end
        guaranteed = 0
      end
      if covered < pass then pass = covered end
    end
  end
  return pass
end

-- Takes as many copies of a shape as pass; puts what its levels held into `seen`. Nothing: a key holds no bucket (2), or a period is over (3).
local function take(sh, cost, copies, n, seen)
  local of, roles, credits = slots_of[sh], roles_of[sh], {}
  for l = 1, #of do
    if stale[of[l]] then return nil, 3 end
    local credit = look(of[l], n)
    if not credit then return nil, 2 end
    credits[l] = credit
  end
  local pass = passing(of, roles, credits, cost, copies)
  for l = 1, #of do
    local s, role = of[l], roles[l]
    local pays = pass
    if role == 1 then pays = covers(s, credits[l], cost, pass) elseif role == 3 then pays = copies end
    pay(s, cost, pays)
    if kind_of[s] == 2 then
      seen[#seen + 1] = pack('<ddd', credits[l], sliding(s, cost))
    else
      seen[#seen + 1] = pack('<d', credits[l])
    end
  end
  return pass
end

-- Pays for copies in advance: at most a share of what would still pass, and none beyond the end of a window.
local function ahead(sh, cost, want, share, ttl, n)
  local of, roles, credits = slots_of[sh], roles_of[sh], {}
  for l = 1, #of do credits[l] = look(of[l], n) end
  local granted = floor(passing(of, roles, credits, cost, want * share) / share)
  if granted == 0 then return 0, 0 end
  local till = now + min(ttl, HOLD_US)
  for l = 1, #of do
    local s, k = of[l], key_of[of[l]]
    local copies = granted
    if roles[l] == 1 then copies = covers(s, credits[l], cost, granted) end
    pay(s, cost, copies)
    if kind_of[s] == 0 then
      local full = limit_of[s] * unit_of[s]
      local more = full - spend(s, full, cost, copies)
      w5[k], w6[k] = min(w5[k] + more, EXACT), max(w6[k], floor(now / HOLD_US))
    elseif kind_of[s] == 2 then
      till = min(till, (floor(now / rate_of[s]) + 1) * rate_of[s])
    else
      till = min(till, ends[s])
    end
  end
  return granted, till
end

local function count(sh, admitted, denied)
  if meter_of[sh] > 0 then
    admitted_of[sh] = (admitted_of[sh] or 0) + admitted
    denied_of[sh] = (denied_of[sh] or 0) + denied
  end
end

local function charge(op, n)
  local want, share, ttl, copies, parts = 0, 1, 0, nil, nil
  if op == 1 then want, share, ttl, pos = unpack_at('<HHd', batch, pos) end
  copies, parts, pos = unpack_at('<HB', batch, pos)
  local seen, admitted, state, granted, till = {}, copies, 0, 0, 0
  if parts ~= 1 then admitted = 1 end
  local from = pos
  for part = 1, parts do
    local sh, cost
    sh, cost, pos = unpack_at('<Hd', batch, pos)
    if state == 0 then
      local pass, why = take(sh, cost, parts == 1 and copies or 1, n, seen)
      if pass then admitted = min(admitted, pass) else state = why end
    end
  end
  if state == 0 and want > 0 and parts == 1 and admitted == copies then
    local sh, cost = unpack_at('<Hd', batch, from)
    if cost > 0 then granted, till = ahead(sh, cost, want, share, ttl, n) end
  end
  if state == 0 and parts == 0 then admitted = 1 end
  local at = from
  for part = 1, parts do
    local sh, cost
    sh, cost, at = unpack_at('<Hd', batch, at)
    local of = slots_of[sh]
    for l = 1, #of do
      -- What a charge of several parts that is denied paid, and whatever a faulty one did, never happened.
      if state ~= 0 or (parts > 1 and admitted == 0) then paid[key_of[of[l]]] = nil else commit(of[l]) end
    end
    if state == 0 and cost > 0 then count(sh, cost * admitted, cost * (copies - admitted)) end
  end
  if state ~= 0 then return string.char(state) end
  return pack('<BHHd', 0, admitted, granted, till) .. table.concat(seen)
end

local forgotten = {}
local function adjust(op, n)
  local s, back, released, taken
  s, pos = unpack_at('<H', batch, pos)
  back, released, taken = 0, 0, EXACT
  if op == 3 then back, pos = unpack_at('<d', batch, pos) end
  if op == 4 then back, released, taken, pos = unpack_at('<ddd', batch, pos) end
  local k, kind = key_of[s], kind_of[s]
  if stale[s] then return string.char(3) end
  if op == 2 then
    -- Whatever the field holds, it is forgotten; an account that is none is left as it is.
    if bad[k] and raw[k] == nil and not kept_until[account_of[k]] then return string.char(2) end
    raw[k], bad[k], b1[k], forgotten[k], slot_of[k] = nil, nil, nil, true, slot_of[k]
    stamp[k] = nil
    return string.char(0)
  end
  if not look(s, n) then return string.char(2) end
  local more = units(s, back)
  if kind == 0 then
    if op == 4 then
      -- What is held no longer has been refilled: coming back now it would be there twice.
      local age = max(w6[k], floor(now / HOLD_US)) - floor(taken / HOLD_US)
      if age == 0 then
        w5[k] = max(w5[k] - units(s, released), 0)
      elseif age == 1 then
        w4[k] = max(w4[k] - units(s, released), 0)
      else
        return string.char(0)
      end
    end
    w1[k] = min(w1[k] + more, max(limit_of[s] * unit_of[s] - w4[k] - w5[k], w1[k]))
  elseif kind == 2 then
    local age = 0
    if op == 4 then age = max(w2[k] - floor(taken / rate_of[s]), 0) end
    for i = age + 1, #w1[k] do
      local part = min(more, w1[k][i])
      w1[k][i], more = w1[k][i] - part, more - part
      if op == 4 then break end
    end
  elseif taken >= w2[k] then
    -- What comes back to a window that has forgotten it (an operator reset it) is no grant.
    w1[k] = max(w1[k] - more, op == 4 and min(w1[k], 0) or -EXACT)
  end
  paid[k] = true
  commit(s)
  return string.char(0)
end

local replies = { pack('<d', now) }
local items
items, pos = unpack_at('<H', batch, pos)
for n = 1, items do
  local op
  op, pos = unpack_at('<B', batch, pos)
  if op <= 1 then
    replies[n + 1] = charge(op, n)
  elseif op <= 4 then
    replies[n + 1] = adjust(op, n)
  else
    local sh, admitted, denied
    sh, admitted, denied, pos = unpack_at('<Hdd', batch, pos)
    count(sh, admitted, denied)
    replies[n + 1] = string.char(0)
  end
end

for k in pairs(forgotten) do
  if not b1[k] then redis.call('HDEL', KEYS[account_of[k]], field_of[k]) end
end

for a, list in pairs(dirty) do
  local values, clears = {}, now
  for i = 1, #list do
    local k = list[i]
    local s = slot_of[k]
    if b1[k] then
      local value
      if kind_of[s] == 0 then
        local full = b2[k]
        -- A charge may hold one key under two limits, the later of which never refills: the script must not fail for it.
        if rate_of[s] > 0 then full = full + ceil((limit_of[s] * unit_of[s] - b1[k]) / rate_of[s]) end
        if b4[k] > 0 or b5[k] > 0 then
          full = max(full, (b6[k] + (b5[k] > 0 and 2 or 1)) * HOLD_US)
          value = pack('<dddddd', b1[k], b2[k], b3[k], b4[k], b5[k], b6[k])
        else
          value = pack('<ddd', b1[k], b2[k], b3[k])
        end
        clears = max(clears, full)
      elseif kind_of[s] == 2 then
        value = pack('<d' .. string.rep('d', #b1[k]), b2[k], unpack(b1[k]))
        clears = max(clears, (b2[k] + SLICES + 1) * rate_of[s])
      else
        value = pack('<dd', b2[k], b1[k])
        clears = max(clears, ends[s])
      end
      values[#values + 1], values[#values + 2] = field_of[k], value
    end
  end
  if #values > 0 then
    if clears > kept_until[a] or kept_until[a] == 0 then
      -- Twice as far as needed, so that a busy account renews its expiry now and then and not at each write.
      local keep = max(ceil((clears - now) / 500), keep_ms)
      values[#values + 1], values[#values + 2] = 'x', pack('<d', now + keep * 1000)
      redis.call('HSET', KEYS[a], unpack(values))
      redis.call('PEXPIRE', KEYS[a], string.format('%.0f', keep))
    else
      redis.call('HSET', KEYS[a], unpack(values))
    end
  end
end

for sh = 1, shapes do
  if admitted_of[sh] then
    local meter = KEYS[meter_of[sh]] .. ':meter:' .. string.format('%.0f', floor(now / 3600000000))
    local line = ARGV[line_of[sh] + 2]
    for field, amount in pairs({ [line .. ':a'] = admitted_of[sh], [line .. ':d'] = denied_of[sh] }) do
      if amount > 0 then
        -- A meter that something else has overwritten must not take the decisions with it.
        local sum = redis.pcall('HINCRBY', meter, field, string.format('%.0f', min(amount, EXACT)))
        if sum == amount then redis.pcall('PEXPIRE', meter, METER_KEPT_MS) end
      end
    end
  end
end

return table.concat(replies)
