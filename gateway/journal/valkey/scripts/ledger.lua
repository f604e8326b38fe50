-- Quota spends, exact to the request, and how many turns ended how.

local ledger = {}

-- False if that id is recorded already.
function ledger.spend(spend)
  if call('ZSCORE', prefix .. 'spends', spend.id) then
    return false
  end
  if not spend.at or spend.at == 0 then
    spend.at = now
  end
  call('ZADD', prefix .. 'spends', exact(spend.at), spend.id)
  call('HSET', prefix .. 'spend', spend.id, cmsgpack.pack(spend))
  return true
end

function ledger.count(bot, outcome)
  call('HINCRBY', prefix .. 'counters', bot .. ' ' .. outcome, 1)
end

local function forget_spend(id)
  call('ZREM', prefix .. 'spends', id)
  call('HDEL', prefix .. 'spend', id)
end

function ledger.purge(before, batch)
  local old = call('ZRANGEBYSCORE', prefix .. 'spends', '-inf', exact(before), 'LIMIT', 0, batch)
  for _, id in ipairs(old) do
    forget_spend(id)
  end
  return #old
end

function entry.spend(a)
  ledger.spend(a.spend)
end

function entry.refund(a)
  forget_spend(a.id)
end

function entry.spent_since(a)
  local spends = {}
  for i, id in ipairs(call('ZRANGEBYSCORE', prefix .. 'spends', '(' .. exact(a.since), '+inf')) do
    spends[i] = cmsgpack.unpack(call('HGET', prefix .. 'spend', id))
  end
  return spends
end
