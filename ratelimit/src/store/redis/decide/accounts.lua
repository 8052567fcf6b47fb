
-- Reads each account once.
local keys, p, again = 0, batch[1], false
for a = 1, #KEYS do
  local n = batch[p]
  if again then break end
  if n > 0 then
    local values = pcall('HMGET', KEYS[a], unpack(batch, p + 1, p + n + 1))
    local lost = values.err
    kept[a] = values[n + 1]
    for i = 1, n do
      local k, l, value = keys + i, batch[p + n + 1 + i], values[i]
      local unit, plain = batch[l + 1], not lost and (not rarely or batch[l + 3] == 0)
      local credit = batch[l + 2] * unit
      if plain and value then
        local full, at, period = credit, nil, nil
        if #value == 33 then credit, at, period = unpack_at('<ddd', value) end
        -- Whole numbers within what is exact, of this very limit; no comparison holds for what is no number.
        plain = period == unit and credit <= full and credit >= full - EXACT and at >= 0 and at <= now and credit % 1 + at % 1 == 0
        if plain then
          local gain = (now - at) * batch[l]
          if gain >= full - credit then credit = full else credit = credit + gain end
        end
      end
      if plain then
        credits[k], units[k], limits[k] = credit, unit, l
      else
        local why = lost and 1 or not rarely and 'rarely' or read(k, l, value)
        if why == 'rarely' then
          again = true
        elseif why then
          credits[k], units[k], limits[k], faults[k] = false, unit, l, why
        end
      end
    end
    keys, p = keys + n, p + 2 * n + 2
  else
    p = p + 1
  end
end

if not again then break end
rarely = true
end -- of what is done once more
