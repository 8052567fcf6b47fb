-- Decides a batch of charges, in order, each all or none. Why a script: to read several buckets, judge them together and write them is one step
-- that no other client may divide, and one call carries a whole batch (a call costs about 35 us in the store whatever it does).
-- The rules are those of ratelimit/src/model.rs, and a test holds the two against each other.
--
-- KEYS     the distinct buckets of the batch. Each is read once and written at most once.
-- ARGV[1]  now, in microseconds since 1970; empty: the store's own TIME. Only tests and simulations give it.
-- ARGV[2]  the batch, packed little-endian so that nothing is parsed from decimals:
--            u32 slots, then for each: u32 key (from 1), double requests, double period_us, double capacity
--            u32 charges, then for each: u8 entries, then for each: u16 slot (from 1), u8 role, double cost
--          A slot is a key under a limit: a key has two only while a configuration changes. Roles: 0 hold, 1 guarantee, 2 shared.
-- Reply    one packed string: for each charge u8 (0 denied, 1 admitted, 2 faulty) and, for each of its entries, the double of the credit
--          that the entry was decided by (before it paid).
--
-- A value is three doubles: credit in units, the moment it is of, and period_us (what a unit of it is: one request is period_us units). All
-- are integers below 2^53, so doubles are exact. A value expires when its bucket is full again, which is what an absent one means.
-- A key that holds anything else makes the charges that touch it faulty, and is left as it is.

local EXACT = 9007199254740992
local floor, ceil = math.floor, math.ceil
local unpack_at, pack = struct.unpack, struct.pack

local now, keep_ms
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now, keep_ms = time[1] * 1000000 + time[2], 1
else
  -- Simulated time does not pass with the store's: such keys stay for an hour of real time.
  now, keep_ms = tonumber(ARGV[1]), 3600000
end

-- Read: one MGET. It answers nil for a key of another type as it does for an absent one, so absent ones are asked after, all at once.
local credit, at, period, bad = {}, {}, {}, {}
if #KEYS > 0 then
  local raw = redis.call('MGET', unpack(KEYS))
  local absent = {}
  for k = 1, #KEYS do
    local value = raw[k]
    if not value then
      absent[#absent + 1] = k
    elseif #value ~= 24 then
      bad[k] = true
    else
      local c, t, p = unpack_at('<ddd', value)
      local whole = c == floor(c) and t == floor(t) and p == floor(p)
      if whole and c >= -EXACT and c <= EXACT and t >= 0 and t < EXACT and p >= 1 and p <= EXACT then
        credit[k], at[k], period[k] = c, t, p
      else
        bad[k] = true
      end
    end
  end
  if #absent > 0 then
    local names = {}
    for i = 1, #absent do names[i] = KEYS[absent[i]] end
    if redis.call('EXISTS', unpack(names)) > 0 then
      for i = 1, #absent do
        if redis.call('EXISTS', names[i]) > 0 then bad[absent[i]] = true end
      end
    end
  end
end

local batch = ARGV[2]
local slots, pos = unpack_at('<I', batch, 1)
local key_of, rate_of, period_of, capacity_of = {}, {}, {}, {}
for s = 1, slots do
  key_of[s], rate_of[s], period_of[s], capacity_of[s], pos = unpack_at('<Iddd', batch, pos)
end

local current = {} -- the slot that a key's credit is refreshed for

-- Brings a key to this moment under a slot's limit. A changed limit bounds the credit; a clock that went backwards adds nothing.
local function refresh(k, s)
  local p, full = period_of[s], capacity_of[s] * period_of[s]
  current[k] = s
  if not credit[k] then
    credit[k], at[k], period[k] = full, now, p
    return
  end
  local c = credit[k]
  if period[k] ~= p then
    local from = period[k]
    local whole = floor(c / from)
    local rest = c - whole * from
    if rest < 0 then whole, rest = whole - 1, rest + from end
    if rest >= from then whole, rest = whole + 1, rest - from end
    local part
    if rest * p < EXACT then
      part = floor(rest * p / from)
    else
      part = floor((rest / from) * p) - 2
      if part < 0 then part = 0 end
    end
    c = whole * p + part
    if c > EXACT then c = EXACT elseif c < -EXACT then c = -EXACT end
    period[k] = p
  end
  if c > full then c = full elseif c < full - EXACT then c = full - EXACT end
  if now > at[k] then
    local gain = (now - at[k]) * rate_of[s]
    if gain >= full - c then c = full else c = c + gain end
    at[k] = now
  end
  credit[k] = c
end

local formats = {}
local function format_of(entries)
  local format = formats[entries]
  if not format then
    format = '<B' .. string.rep('d', entries)
    formats[entries] = format
  end
  return format
end

local charged_by = {} -- the last charge that a key paid for
local dirty = {}
local replies = {}
local charges
charges, pos = unpack_at('<I', batch, pos)
for n = 1, charges do
  local entries
  entries, pos = unpack_at('<B', batch, pos)
  local seen = {}
  local undo, undone = {}, 0
  local admitted, faulty, guaranteed = true, false, false
  for e = 1, entries do
    local s, role, cost
    s, role, cost, pos = unpack_at('<HBd', batch, pos)
    local k = key_of[s]
    if bad[k] then
      faulty = true
      seen[e] = 0
    else
      local capacity = capacity_of[s]
      undo[undone + 1], undo[undone + 2], undo[undone + 3], undo[undone + 4], undo[undone + 5] =
        k, credit[k] or false, at[k] or false, period[k] or false, current[k] or false
      undone = undone + 5
      if current[k] ~= s then refresh(k, s) end
      local c = credit[k]
      seen[e] = c
      local need = cost * period_of[s]
      if need > EXACT then need = EXACT end
      local pays = capacity > 0 and cost <= capacity and c >= need
      if role == 1 then
        guaranteed = pays
      elseif role == 2 then
        pays = pays or (guaranteed and capacity > 0)
        guaranteed = false
        if not pays then admitted = false end
      elseif not pays then
        admitted = false
      end
      if pays and cost > 0 then
        local left, least = c - need, capacity * period_of[s] - EXACT
        if left < least then left = least end
        credit[k] = left
        charged_by[k] = n
      end
    end
  end
  admitted = admitted and not faulty
  -- Whatever was not charged is as it was, in reverse, so that a key's first record wins.
  for i = undone - 4, 1, -5 do
    local k = undo[i]
    if admitted and charged_by[k] == n then
      dirty[k] = true
    else
      credit[k], at[k], period[k], current[k] = undo[i + 1] or nil, undo[i + 2] or nil, undo[i + 3] or nil, undo[i + 4] or nil
    end
  end
  replies[n] = pack(format_of(entries), faulty and 2 or (admitted and 1 or 0), unpack(seen))
end

for k in pairs(dirty) do
  local s = current[k]
  local missing = capacity_of[s] * period_of[s] - credit[k]
  local keep = keep_ms
  -- A charge may hold one key under two limits, the later of which never refills: the script must not fail for it.
  if rate_of[s] > 0 then keep = ceil((missing / rate_of[s] + (at[k] - now)) / 1000) + 1 end
  if keep < keep_ms then keep = keep_ms end
  redis.call('SET', KEYS[k], pack('<ddd', credit[k], at[k], period[k]), 'PX', string.format('%.0f', keep))
end

return table.concat(replies)
