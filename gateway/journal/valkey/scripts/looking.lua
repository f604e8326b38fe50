-- What an operator, a status page or a webhook's caller may ask.

-- The message behind a message, turn or delivery id; of a turn the last, which is replied to.
local function resolve(id)
  if call('EXISTS', prefix .. 'm:' .. id) == 1 then
    return id
  end
  local turn = get('t:' .. id)
  if turn then
    return turn.messages[#turn.messages]
  end
  local part = get('p:' .. id)
  return part and part.in_reply_to
end

local function parts_of(owner, parts)
  for _, id in ipairs(call('LRANGE', prefix .. 'of:' .. owner, 0, -1)) do
    parts[#parts + 1] = {part = get('p:' .. id), text = call('GET', prefix .. 'pb:' .. id) or nil}
  end
end

function entry.message(a)
  local id = resolve(a.id)
  local message = id and get('m:' .. id)
  if not message then
    return nil
  end
  local parts = {}
  parts_of(id, parts)
  if message.turn then
    parts_of(message.turn, parts)
  end
  table.sort(parts, function(one, other) return one.part.seq < other.part.seq end)
  return {
    message = message, body = get('b:' .. id), conversation = conversations.row(message.conversation),
    turn = message.turn and get('t:' .. message.turn), parts = parts,
  }
end

-- Whether this organisation has anything of that id.
function entry.knows(a)
  for _, kind in ipairs({'m:', 't:', 'p:', 'l:'}) do
    if call('EXISTS', prefix .. kind .. a.id) == 1 then
      return true
    end
  end
  return false
end

function entry.counts()
  local figures = {}
  for i, bot in ipairs(call('SMEMBERS', prefix .. 'bots')) do
    local first = call('ZRANGE', prefix .. 'waiting:' .. bot, 0, 0)[1]
    local message = first and get('m:' .. first)
    figures[i] = {
      bot = bot, waiting = call('ZCARD', prefix .. 'waiting:' .. bot),
      dead_letters = call('ZCARD', prefix .. 'letters:' .. bot),
      oldest = message and (message.waiting_since or message.accepted_at),
    }
    for _, outcome in ipairs({'answered', 'failed', 'expired', 'dropped'}) do
      figures[i][outcome] = tonumber(call('HGET', prefix .. 'counters', bot .. ' ' .. outcome) or '0')
    end
  end
  return figures
end
