-- Forgetting: what is past its retention goes, a bounded number of things at a time; a conversation on request.

-- Take from an aged queue what is due, and hand it over; returns how many there were.
local function sweep(queue, before, batch, forget)
  local key, done = prefix .. 'aged:' .. queue, 0
  while done < batch do
    local first = call('LINDEX', key, 0)
    local at, thing = string.match(first or '', '^(%S+) (.*)$')
    if not at or tonumber(at) > before then
      break
    end
    call('LPOP', key)
    forget(thing)
    done = done + 1
  end
  return done
end

-- The row of a thing that has ended and was not taken up again since.
local function ended(thing, before)
  local row = get(thing)
  return row and row.ended_at and row.ended_at <= before and row or nil
end

local function blank(before)
  return function(thing)
    local row, id = ended(thing, before), string.sub(thing, 3)
    if row then
      for _, text in ipairs(string.sub(thing, 1, 1) == 'm' and {'b:', 'r:'} or {'pb:'}) do
        del(text .. id)
      end
      conversations.blank(row.conversation, thing, row.log_seq)
    end
  end
end

local function drop_trace(before)
  return function(thing)
    local row, kind, id = ended(thing, before), string.sub(thing, 1, 1), string.sub(thing, 3)
    if not row then
      return
    elseif kind == 't' then
      turns.remove(id)
    else
      (kind == 'm' and inbox.remove or outbox.remove)(id)
      conversations.trim(row.conversation, row.log_seq or 0)
    end
  end
end

-- A conversation's row holds the number of its last entry, so it outlives its entries as long as a cursor may.
local function drop_conversations(before, batch)
  local old, dropped = call('ZRANGEBYSCORE', prefix .. 'conversations', '-inf', exact(before), 'LIMIT', 0, batch), 0
  for _, id in ipairs(old) do
    local row = conversations.row(id)
    if row.trimmed == row.last and call('EXISTS', prefix .. 'log:' .. id) == 0 then
      del('c:' .. id)
      del('conversation:' .. title(row))
      call('ZREM', prefix .. 'conversations', id)
      dropped = dropped + 1
    else
      call('ZADD', prefix .. 'conversations', exact(now), id)  -- looked at again when it is as old once more
    end
  end
  return dropped
end

function entry.purge(a)
  local kept, batch = a.retention, a.batch
  local text, web, trace = now - kept.text, now - kept.web_history, now - kept.traces
  return sweep('text', text, batch, blank(text))
    + sweep('web', web, batch, blank(web))
    + sweep('trace', trace, batch, drop_trace(trace))
    + sweep('dedupe', now - kept.dedupe, batch, function(key) del('dedupe:' .. key) end)
    + letters.purge(trace, a.letters, batch)
    + ledger.purge(now - a.spends, batch)
    + call('ZREMRANGEBYSCORE', prefix .. 'holds', '-inf', exact(now))
    + drop_conversations(math.min(trace, web), batch)
end

-- Dedupe keys stay, so that a redelivery of what was forgotten is not answered again.
function entry.forget(a)
  local id = conversations.find(a.key)
  if not id then
    return
  end
  for _, thing in ipairs(call('ZRANGE', prefix .. 'log:' .. id, 0, -1)) do
    local kind, which = string.sub(thing, 1, 1), string.sub(thing, 3)
    if kind == 'm' then
      local message = get(thing)
      if message.turn then
        turns.remove(message.turn)
      end
      inbox.remove(which)
      wake('message/' .. which)
    elseif kind == 'p' then
      outbox.remove(which)
    else
      letters.drop(which)
    end
  end
  conversations.trim(id, conversations.row(id).last)
  wake('conversation/' .. a.key.bot .. '/' .. a.key.platform .. '/' .. a.key.chat)
end

function entry.now()
  return now
end

function entry.probe()
  call('SET', prefix .. 'probe', exact(now))
end
