-- Turns: waiting messages of one conversation become one question, at most one in flight per conversation.
--
-- `open` holds the turns that have not ended, `flight` the question in flight of each conversation.

local turns = {}

-- A turn with its messages; nothing if it is unknown or its texts are gone.
local function load(id)
  local turn = get('t:' .. id)
  if not turn then
    return nil
  end
  local messages = {}
  for _, message_id in ipairs(turn.messages) do
    local message, body = get('m:' .. message_id), get('b:' .. message_id)
    if message and body then
      messages[#messages + 1] = {message = message, body = body}
    end
  end
  if #messages > 0 then
    return {turn = turn, conversation = conversations.row(turn.conversation), messages = messages}
  end
end

local function leave_flight(turn)
  call('HDEL', prefix .. 'open', turn.id)
  if call('HGET', prefix .. 'flight', turn.conversation) == turn.id then
    call('HDEL', prefix .. 'flight', turn.conversation)
  end
end

function turns.remove(id)
  local turn = get('t:' .. id)
  if turn then
    leave_flight(turn)
    del('t:' .. id)
  end
end

-- Its request leaves after this: attempt, time and quota spend are written down. False if that was done before.
local function ask(turn, spend, token)
  if not ledger.spend(spend) then
    return false
  end
  turn.state, turn.attempt, turn.asked_at, turn.token = 'asked', turn.attempt + 1, now, token
  set('t:' .. turn.id, turn)
  call('HSET', prefix .. 'open', turn.id, token)
  return true
end

function entry.claim(a)
  if call('EXISTS', prefix .. 't:' .. a.id) == 1 then
    return load(a.id)
  end
  local messages, ids, kind = {}, {}, 'record'
  for _, id in ipairs(a.messages) do
    local message = get('m:' .. id)
    if message and message.state == 'waiting' then
      messages[#messages + 1] = message
    end
  end
  if #messages == 0 then
    return nil
  end
  table.sort(messages, function(one, other) return one.seq < other.seq end)
  local conversation = messages[1].conversation
  for i, message in ipairs(messages) do
    if message.conversation ~= conversation then
      return nil, 'several_conversations'
    end
    ids[i] = message.id
    kind = message.kind == 'ask' and 'ask' or kind
  end
  if kind == 'ask' and not call('HGET', prefix .. 'flight', conversation) then
    call('HSET', prefix .. 'flight', conversation, a.id)
  elseif kind == 'ask' then
    return nil
  end
  for _, message in ipairs(messages) do
    inbox.dequeue(message)
    message.state, message.turn = 'claimed', a.id
    set('m:' .. message.id, message)
  end
  local turn = {
    id = a.id, bot = messages[1].bot, conversation = conversation, kind = kind, messages = ids, state = 'claimed',
    token = a.lease.token, claimed_at = now, attempt = 0,
  }
  call('HSET', prefix .. 'open', a.id, a.lease.token)
  set('t:' .. a.id, turn)
  if a.spend then
    ask(turn, a.spend, a.lease.token)
  end
  return load(a.id)
end

local function put_back(turn, organization)
  for _, id in ipairs(turn.messages) do
    local message = get('m:' .. id)
    if message then
      message.turn = nil
      inbox.enqueue(message)
    end
  end
  turns.remove(turn.id)
  wake('inbox/' .. organization)
end

function entry.asked(a)
  local loaded = load(a.id)
  if not loaded then
    return nil, 'gone'
  end
  if loaded.turn.state ~= 'ended' then
    ask(loaded.turn, a.spend, a.lease.token)
  end
  return loaded
end

function entry.finish(a)
  local loaded = load(a.id)
  if not loaded or loaded.turn.ended_at then
    return
  end
  local turn, last, ending = loaded.turn, loaded.messages[#loaded.messages], a.ending
  turn.state, turn.ended_at, turn.outcome, turn.cause = 'ended', now, ending.outcome, ending.cause
  turn.request_id, turn.quota_wait, turn.upstream = ending.request_id, ending.quota_wait, ending.upstream
  set('t:' .. a.id, turn)
  age('trace', 't:' .. a.id)
  leave_flight(turn)
  local stored = turn.kind == 'record' and ending.outcome == 'answered'
  for _, one in ipairs(loaded.messages) do
    inbox.finish(one.message, stored and 'recorded' or ending.outcome)
    del('r:' .. one.message.id)
    wake('message/' .. one.message.id)
  end
  if turn.kind == 'ask' then
    ledger.count(turn.bot, ending.outcome)
    if ending.outcome == 'failed' then
      letters.write({
        id = a.id, kind = 'turn', bot = turn.bot, conversation = turn.conversation, message = last.message.id,
        outcome = 'failed', cause = ending.cause,
      })
    end
  end
  if #a.parts > 0 then
    outbox.enqueue(loaded.conversation, last.body.to, last.body.address, a.parts, a.id, last.message.id)
  end
  wake('inbox/' .. a.organization)
end

function entry.inherit_turns(a)
  local left, found = {}, {}
  local open = call('HGETALL', prefix .. 'open')
  for i = 1, #open, 2 do
    if tonumber(open[i + 1]) < a.lease.token then
      left[#left + 1] = get('t:' .. open[i])
    end
  end
  table.sort(left, function(one, other)
    return one.claimed_at < other.claimed_at or (one.claimed_at == other.claimed_at and one.id < other.id)
  end)
  for _, turn in ipairs(left) do
    if turn.state == 'claimed' then
      put_back(turn, a.organization)
    else
      turn.token = a.lease.token
      set('t:' .. turn.id, turn)
      call('HSET', prefix .. 'open', turn.id, a.lease.token)
      found[#found + 1] = load(turn.id)
    end
  end
  return found
end

-- --- a dead letter's way back ---

-- Its messages wait again, behind all others: one that keeps its place is not seen by a reader with a cursor.
local function ask_again(letter, organization)
  local turn, found = get('t:' .. letter.id), {}
  for _, id in ipairs(turn and turn.messages or {}) do
    local message = get('m:' .. id)
    if message and message.turn == letter.id and message.state == 'ended' and get('b:' .. id) then
      found[#found + 1] = message
    end
  end
  if not turn or #found < #turn.messages then
    return false
  end
  for _, message in ipairs(found) do
    message.seq = call('INCR', prefix .. 'next:message')
    message.turn, message.ended_at, message.outcome, message.cause = nil, nil, nil, nil
    message.deadline, message.not_before, message.waiting_since = nil, nil, now
    inbox.enqueue(message)
  end
  wake('inbox/' .. organization)
  return true
end

function entry.retry(a)
  local letter = get('l:' .. a.id)
  if not letter then
    return false
  end
  if letter.kind == 'update' then
    return nil, 'unreadable'
  end
  local done
  if letter.kind == 'turn' then
    done = ask_again(letter, a.organization)
  else
    done = outbox.send_again(letter.id)
  end
  if not done then
    return nil, 'past_retention'
  end
  letters.drop(a.id)
  return true
end
