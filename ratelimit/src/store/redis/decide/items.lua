
local fits = {} -- how many copies each level of a guarantee, or in shadow, covers
local out, o = { now, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }, 1
local p = batch[3]
while true do
  -- Nearly every charge is one to token buckets of which each covers all of it, but for a guarantee that may cover nothing: there is no more to judge.
  while not rarely and batch[p] == 0 do
    local shape, cost, from, short = batch[p + 2], batch[p + 3], o + 1, 0
    local all, first = batch[p + 1] * cost, shape + 5
    local last = first + 2 * batch[shape + 4] - 2
    local at = from
    for j = first, last, 2 do
      local k = batch[j]
      local credit, unit = credits[k], units[k]
      if not credit or credit < unit * all then
        if short > 0 or not credit or batch[j + 1] ~= 1 or credit >= unit * cost then
          all = 0
          break
        end
        short = j
      end
      at = at + 1
      out[at] = credit
    end
    if all == 0 then break end
    for j = first, last, 2 do
      if j ~= short then
        local k = batch[j]
        credits[k], paid[k] = credits[k] - units[k] * all, true -- a shape holds no key twice
      end
    end
    o, out[from], batch[shape], p = at, batch[p + 1], batch[shape] + all, p + 4
  end
  if not batch[p] then break end

  local op, copies, shape, cost = batch[p], batch[p + 1], batch[p + 2], batch[p + 3]
  -- `state`: whether it is faulty (2) or stale (3). What is told of it begins at `from`.
  local parts, admitted, want, share, state, granted, until_us, from = 1, copies, 0, 1, 0, 0, 0, o + 1
  undo, o = nil, from
  if op == 1 then
    -- What is paid in advance is a second part, of the copies that are wanted.
    parts, want, share = 2, batch[p + 4], batch[p + 5]
  elseif op == 2 then
    parts, copies, admitted, undo = copies, 1, 1, {}
  elseif op > 2 then
    -- Changes are made, and tallies counted, below.
    parts = 0
  end

  for part = 1, parts do
    local each, ahead = copies, false
    if part > 1 then
      if op == 2 then
        shape, cost = batch[p + 2 * part], batch[p + 2 * part + 1]
      else
        if admitted < copies or cost == 0 or want == 0 then break end
        each, ahead, until_us = want * share, true, now + min(batch[p + 6], HOLD_US)
      end
    end
    local pass, guaranteed, all, sliding = each, 0, cost * each, false
    local last = batch[shape + 4]

    -- What each level holds, and how many copies it covers.
    for i = 1, last do
      local j = shape + 3 + 2 * i
      local k, role = batch[j], batch[j + 1]
      if undo then
        if not undo[k] then save(k) end
        if role > 3 then
          state, role = under(k, floor(role / 4)), role % 4
          if state ~= 0 then break end
        end
      end
      local credit, count, covered = credits[k], counts[k], each
      if not credit then
        state = max(faults[k], 2)
        break
      end
      if not ahead then
        o = o + 1
        out[o] = credit
        if count and type(count) == 'table' then o, sliding = o + 2, true end
      end

      -- The guarantee pays first, and puts the shared bucket into debt if need be. A limit of 0 covers nothing, not even a look.
      if all == 0 or credit < units[k] * all or count and cost > batch[limits[k] + 2] then
        local unit, cap, most = units[k], batch[limits[k] + 2], each
        local need = min(cost * unit, EXACT)
        covered = 0
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
        if role == 2 and cap > 0 then covered = covered + guaranteed end
      end
      if role == 1 then
        -- It pays nothing in advance: what replicas hold must not be missing to who is inside its guarantee.
        if ahead then covered = 0 end
        guaranteed, fits[i] = covered, covered
      else
        if role == 2 then guaranteed = 0 end
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
      local j = shape + 3 + 2 * i
      local k, role, pays = batch[j], batch[j + 1], pass
      if role > 0 then
        role = role % 4
        if role == 1 then
          if fits[i] < pass then pays = fits[i] end
        elseif role == 3 and not ahead then
          pays = each
        end
      end
      local pay = cost * pays
      if pay > 0 then
        local count = counts[k]
        if not count then
          local unit = units[k]
          local after = credits[k] - unit * pay
          if after < 0 then after = max(after, batch[limits[k] + 2] * unit - EXACT) end
          credits[k] = after
          if ahead then
            -- Not there twice: what is held does not refill.
            local h = held[k] or { 0, 0, floor(now / HOLD_US) }
            h[2], held[k] = min(h[2] + unit * pay, EXACT), h
          end
        elseif type(count) == 'table' then
          count[1] = min((count[1] or 0) + pay, EXACT)
          credits[k] = left(count, batch[limits[k] + 2])
        else
          count = min(count + pay, EXACT)
          counts[k], credits[k] = count, batch[limits[k] + 2] - count
        end
        paid[k] = true
        if undo and undo[k] then undo[k].spent = true end
      end
      if ahead and granted > 0 and counts[k] then
        -- What is held beyond the end of a window would count in the wrong one.
        local rate, kind = batch[limits[k]], batch[limits[k] + 3]
        until_us = min(until_us, kind == 3 and batch[rate + 1] or (floor(now / rate) + 1) * rate)
      end
    end
    if sliding then
      local at = o
      for i = last, 1, -1 do
        local k = batch[shape + 3 + 2 * i]
        if type(counts[k]) == 'table' then
          out[at - 1], out[at] = frees(k, cost)
          at = at - 2
        end
        at = at - 1
      end
    end
  end

  if undo then
    -- What a charge that is denied or faulty did never happened, and a key that nothing was paid from stays as it was.
    local never = state ~= 0 or admitted == 0
    for k, before in pairs(undo) do
      if never or not before.spent then
        credits[k], units[k], limits[k], moments[k], paid[k], held[k], counts[k] = unpack(before, 1, 7)
      end
    end
  end
  if op < 3 then
    if op == 1 and state ~= 3 then
      -- What was answered already is counted whatever becomes of the charge; what is stale is asked again.
      shape = batch[p + 2]
      batch[shape], batch[shape + 1] = batch[shape] + batch[p + 7], batch[shape + 1] + batch[p + 8]
    end
    if state ~= 0 then
      o, admitted = from, -state
    else
      for part = 1, op == 2 and parts or 1 do
        shape, cost = batch[p + 2 * part], batch[p + 2 * part + 1]
        batch[shape], batch[shape + 1] = batch[shape] + cost * admitted, batch[shape + 1] + cost * (copies - admitted)
      end
      if op == 1 then
        if granted == 0 then until_us = 0 end
        out[o + 1], out[o + 2] = granted, until_us
        o = o + 2
      end
    end
    out[from] = admitted
    p = p + (op == 0 and 4 or op == 1 and 9 or 2 + 2 * parts)
  elseif op == 6 then
    batch[shape], batch[shape + 1] = batch[shape] + cost, batch[shape + 1] + batch[p + 4]
    o, out[from], p = from, 0, p + 5
  else
    local k = batch[shape + 5]
    if credits[k] or op == 3 then
      state = change(op, k, cost, batch[p + 4], batch[p + 5])
    else
      state = max(faults[k], 2)
    end
    o, out[from], p = from, -state, p + (op == 5 and 6 or 4)
  end
end
