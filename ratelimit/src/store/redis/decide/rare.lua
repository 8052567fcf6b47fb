
-- What few batches need. Each function costs a call its making, so they are made where the service knows that they are needed, or else once an account
-- turns out to hold what needs them: then the accounts are read once more. Nothing is written before.
local in_units, read, under, save, frees, left, change
local rarely = batch[6] > 0
while true do

if rarely then
  local function whole(n, least) return n % 1 == 0 and n >= least and n <= EXACT end

  -- A credit in units of another period.
  in_units = function(c, from, to)
    if from == to then return c end
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

  -- What was counted, in all slices of a window.
  local function used(count)
    if type(count) ~= 'table' then return count end
    local sum = 0
    for i = 1, #count do sum = min(sum + count[i], EXACT) end
    return sum
  end

  -- What that leaves of a limit.
  left = function(count, limit) return max(limit - used(count), limit - EXACT) end

  -- A token bucket under a limit, as it was `at`, and what replicas held of it then: what it holds now.
  local function token(k, l, credit, at, period, older, newer, epoch)
    local unit = batch[l + 1]
    local full = batch[l + 2] * unit
    local top = full
    if older then
      local turn = floor(now / HOLD_US)
      older, newer = max(in_units(older, period, unit), 0), max(in_units(newer, period, unit), 0)
      if turn == epoch + 1 then older, newer = newer, 0 elseif turn > epoch then older, newer = 0, 0 end
      held[k] = { older, newer, older + newer > 0 and max(epoch, turn) or turn }
      -- Of a limit that was lowered below what is held nothing is left; what is held was paid, and is no debt.
      top = max(full - older - newer, 0)
    end
    -- A changed limit bounds the credit; a clock that went backwards adds nothing.
    credit = max(min(in_units(credit, period, unit), top), full - EXACT)
    if now > at then
      local gain = (now - at) * batch[l]
      if gain >= top - credit then credit = top else credit = credit + gain end
    end
    credits[k], units[k], limits[k], moments[k] = credit, unit, l, max(at, now)
  end

  -- A window, a calendar or a sliding window under a limit, as it was `at`. A calendar without a period is stale (3).
  local function counted(k, l, count, at)
    local rate, limit, kind = batch[l], batch[l + 2], batch[l + 3]
    if kind == 2 then
      local slice, fresh = floor(now / rate), {}
      if count then
        local passed = max(slice - at, 0)
        for i = 1, passed <= SLICES and #count > 0 and passed or 0 do fresh[i] = 0 end
        for i = 1, passed <= SLICES and min(#count, SLICES + 1 - passed) or 0 do fresh[#fresh + 1] = count[i] end
        slice = max(slice, at)
      end
      count, at = fresh, slice
    else
      local start = kind == 1 and now - now % rate or batch[rate]
      if not start then return 3 end
      if not count or start > at then count, at = 0, start end
    end
    credits[k], units[k], limits[k], moments[k], counts[k] = kind == 2 and left(count, limit) or limit - count, 1, l, at, count
  end

  -- Limits that were read stand before the batch.
  local own = 0

  -- Reads what the store has: nothing, or why not: it is no bucket (2), or its calendar is stale (3).
  read = function(k, l, value)
    local kind, n = batch[l + 3], value and #value
    if kind == 0 or kind == 4 then
      local credit, at, period = batch[l + 2] * batch[l + 1], now, batch[l + 1]
      local older, newer, epoch, rate, cap
      if n then
        if n ~= 33 and n ~= 73 then return 2 end
        credit, at, period = unpack_at('<ddd', value)
        if not (whole(credit, -EXACT) and whole(at, 0) and whole(period, 1)) then return 2 end
      end
      if n == 73 then
        older, newer, epoch, rate, cap = unpack_at('<ddddd', value, 25)
        if not (whole(older, 0) and whole(newer, 0) and whole(epoch, 0) and whole(rate, 0) and whole(cap, 0) and cap * period <= EXACT) then return 2 end
      end
      if kind == 4 then
        -- A limit may have been raised or lowered since it was leased: neither the old capacity nor the old rate is the bucket's any more.
        own = own - 4
        batch[own], batch[own + 1], batch[own + 2], batch[own + 3] = rate or batch[l], rate and period or batch[l + 1], cap or batch[l + 2], 0
        l = own
      end
      return token(k, l, credit, at, period, older, newer, epoch)
    elseif not value then
      return counted(k, l)
    elseif kind ~= 2 then
      if n ~= 16 then return 2 end
      local at, count = unpack_at('<dd', value)
      if not (at >= 0 and at <= EXACT and count >= -EXACT and count <= EXACT and at % 1 + count % 1 == 0) then return 2 end
      return counted(k, l, count, at)
    end
    if n % 8 ~= 0 or n < 8 or n > 8 * (SLICES + 2) then return 2 end
    local count = { unpack_at('<' .. rep('d', n / 8), value) }
    count[n / 8 + 1] = nil
    local at = table.remove(count, 1)
    if not whole(at, 0) then return 2 end
    for i = 1, #count do
      if not whole(count[i], 0) then return 2 end
    end
    return counted(k, l, count, at)
  end

  -- The same of what is known, under another limit: 0, or why not.
  under = function(k, l)
    local known, kind = limits[k], batch[l + 3]
    if not credits[k] or known == l then return 0 end
    if (batch[known + 3] == 0) ~= (kind == 0) or (batch[known + 3] == 2) ~= (kind == 2) then return 2 end
    if kind > 0 then return counted(k, l, counts[k], moments[k]) or 0 end
    token(k, l, credits[k], moments[k] or now, batch[known + 1], unpack(held[k] or {}, 1, 3))
    return 0
  end

  -- Remembers what a key holds, in case that it has to be put back.
  save = function(k)
    local h, count = held[k], counts[k]
    undo[k] = { credits[k], units[k], limits[k], moments[k], paid[k], h and { unpack(h) }, type(count) == 'table' and { unpack(count) } or count }
  end

  -- When a sliding window would let a cost pass, and when nothing in it counts any more.
  frees = function(k, cost)
    local l, count, newest, at = limits[k], counts[k], moments[k], 0
    local slice, limit = batch[l], batch[l + 2]
    local rest = left(count, limit)
    for i = #count, 1, -1 do
      if limit > 0 and cost <= limit and rest >= cost then break end
      rest = rest + count[i]
      at = (newest - i + 1 + SLICES + 1) * slice
    end
    return at, used(count) == 0 and now or (newest + SLICES + 1) * slice
  end

  -- Makes a reset (3), grant (4) or return (5) of a key: 0, or why not.
  change = function(op, k, number, released, taken)
    local l, count = limits[k], counts[k]
    local rate, unit, limit, kind = batch[l], batch[l + 1], batch[l + 2], batch[l + 3]
    if op == 3 then
      -- Whatever the field holds, it is forgotten. An account that is none is left as it is.
      if kind == 3 and not batch[rate] then return 3 end
      if faults[k] == 1 then return 2 end
      held[k], counts[k], paid[k], forgotten[k] = nil, nil, false, true
      credits[k], units[k], moments[k] = limit * unit, unit, now
      if kind == 3 or kind == 1 then
        -- The window begins now: what leases took before was never counted in it, and is no grant when it comes back.
        counts[k], paid[k] = 0, true
      elseif kind == 2 then
        counts[k], moments[k] = {}, floor(now / rate)
      end
      return 0
    end
    local more = min(number * unit, EXACT)
    if kind == 0 then
      local h = held[k] or { 0, 0, floor(now / HOLD_US) }
      if op == 5 then
        local age = h[3] - floor(taken / HOLD_US)
        -- What is held no longer has been refilled, or an operator reset it: coming back now it would be there twice.
        if age ~= 0 and age ~= 1 then return 0 end
        released = min(released * unit, EXACT)
        if released > 0 and h[2 - age] == 0 then return 0 end
        if released > 0 then more = min(more, h[2 - age]) end
        h[2 - age] = max(h[2 - age] - released, 0)
      end
      held[k], credits[k] = h, min(credits[k] + more, max(limit * unit - h[1] - h[2], credits[k]))
    else
      if kind == 2 then
        local age = op == 5 and max(moments[k] - floor(taken / rate), 0) or 0
        for i = age + 1, #count do
          local back = min(more, count[i])
          count[i], more = count[i] - back, more - back
          if op == 5 then break end
        end
      elseif op == 4 then
        count = max(count - more, -EXACT)
      elseif taken >= moments[k] then
        -- What comes back to a window that has forgotten it (an operator reset it) is no grant.
        count = max(count - more, min(count, 0))
      end
      counts[k], credits[k] = count, left(count, limit)
    end
    paid[k] = true
    return 0
  end
end
