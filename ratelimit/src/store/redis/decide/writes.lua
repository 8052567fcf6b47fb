
-- Writes each account once.
local wrote = false
local args = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }
local keys = 0
p = batch[1]
for a = 1, #KEYS do
  local n, size, clears, least = batch[p], 0, now, brief_ms
  for i = 1, n do
    local k = keys + i
    if paid[k] then
      local l, since, count, h, value = limits[k], now, nil, nil, nil
      if rarely then since, count, h = moments[k] or now, counts[k], held[k] end
      local rate = batch[l]
      if not rarely or batch[l + 3] ~= 1 then least = keep_ms end
      if not count then
        local credit, unit, full = credits[k], units[k], EXACT
        -- A charge may hold one key under two limits, the later of which never refills: the script must not fail for it.
        if rate > 0 then
          full = (batch[l + 2] * unit - credit) / rate
          full = since + full + -full % 1
        end
        if h and h[1] + h[2] > 0 then
          local over = (h[3] + (h[2] > 0 and 2 or 1)) * HOLD_US
          clears = max(clears, over)
          value = pack('<dddddddddB', credit, since, unit, h[1], h[2], h[3], rate, batch[l + 2], max(full, over), 0)
        else
          value = pack('<ddddB', credit, since, unit, full, 0)
        end
        if rate > 0 then since = full end
      elseif type(count) == 'table' then
        value = pack('<d' .. rep('d', #count), since, unpack(count))
        since = (since + SLICES + 1) * rate
      else
        value = pack('<dd', since, count)
        since = batch[l + 3] == 3 and batch[rate + 1] or now - now % rate + rate
      end
      if since > clears then clears = since end
      args[size + 1], args[size + 2] = batch[p + i], value
      size = size + 2
    elseif forgotten[k] then
      call('HDEL', KEYS[a], batch[p + i])
      wrote = true
    end
  end
  keys, p = keys + n, p + (n > 0 and 2 * n + 2 or 1)
  if size > 0 then
    local x, keep = kept[a], nil
    x = x and (#x == 8 or #x == 72) and unpack_at('<d', x) or 0
    -- Twice as far as needed, so that a busy account renews its expiry now and then and not at each write.
    if x == 0 or not (x >= clears and x <= EXACT) then
      keep = max(-floor((now - clears) / 500), least)
      -- A small hash is a list that is searched from its beginning, up to 512 fields long. A value of more than 64 bytes makes it a table.
      -- A login that may not ask how many there are decides all the same.
      local fields = pcall('HLEN', KEYS[a])
      local wide = type(fields) == 'number' and fields > WIDE and rep('\0', 64) or ''
      args[size + 1], args[size + 2] = 'x', pack('<d', now + keep * 1000) .. wide
      size = size + 2
    end
    call('HSET', KEYS[a], unpack(args, 1, size))
    wrote = true
    if keep then call('PEXPIRE', KEYS[a], string.format('%.0f', keep)) end
    if (now + a) % SWEEP == 0 then
      -- What nobody asks for any more (a subscription was renamed) would stay for as long as its account is busy.
      -- A login that may not do this decides all the same: an error holds no fields.
      local some = pcall('HRANDFIELD', KEYS[a], SWEPT, 'WITHVALUES')
      for i = 1, #some, 2 do
        local value, over = some[i + 1], EXACT
        local n = #value
        if n == 33 or n == 73 then
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

-- Counts at the meters, one step a line. A meter that something else has overwritten must not take the decisions with it, and what it does not take is told. A store
-- that takes no writes says so at the first: where nothing was written before, nothing was done in this call, and whoever asked may tell it again.
local hour, day = ':meter:' .. floor(now / HOUR_US), ':metered:' .. floor(now / HOUR_US / 24)
local lost, unnamed, refused = 0, 0, false
local function count(account, line, side, amount)
  if amount > EXACT then amount = EXACT end
  local meter = account .. hour
  local sum = pcall('HINCRBY', meter, line .. side, amount)
  if sum == amount then
    pcall('PEXPIRE', meter, METER_KEPT_MS)
    if line ~= UNNAMED then
      local fields = pcall('HLEN', meter)
      local full = type(fields) == 'number' and fields > METER_FIELDS
      if not full then
        -- What the hour does not hold takes nothing of the day.
        local today = pcall('INCR', account .. day)
        if today == 1 then pcall('EXPIRE', account .. day, 172800) end
        full = type(today) == 'number' and today > METER_DAY
      end
      if full then
        pcall('HDEL', meter, line .. side)
        unnamed = unnamed + amount
        return count(account, UNNAMED, side, amount)
      end
    end
  elseif type(sum) == 'table' then
    lost = lost + amount
    for _, why in ipairs { 'OOM', 'READONLY', 'NOREPLICAS', 'MISCONF' } do
      if not wrote and string.find(sum.err, why, 1, true) then refused = { err = why .. ' nothing was done' } end
    end
    return
  end
  wrote = true
end
p = batch[2]
while p < batch[3] do
  local admitted, denied, account = batch[p], batch[p + 1], batch[p + 2]
  if account > 0 and admitted + denied > 0 then
    if admitted > 0 then count(KEYS[account], batch[p + 3], ':a', admitted) end
    if denied > 0 then count(KEYS[account], batch[p + 3], ':d', denied) end
    if refused then return refused end
  end
  p = p + 5 + 2 * batch[p + 4]
end

if lost + unnamed > 0 then
  out[o + 1], out[o + 2] = lost, unnamed
  o = o + 2
end

-- In pieces, where Lua's stack would not take all.
if o <= 4000 then return pack('<' .. rep('d', o), unpack(out, 1, o)) end
local reply = {}
for i = 1, o, 4000 do
  local j = min(i + 3999, o)
  reply[#reply + 1] = pack('<' .. rep('d', j - i + 1), unpack(out, i, j))
end
return table.concat(reply)
