-- Arrivals become waiting messages: dedupe, limits, bounds and fixed endings, all in the batch's one script.
--
-- A waiting message stands in three places: `inbox` (the organisation's, in the order of acceptance), its
-- conversation's queue, and its bot's. `enqueue` and `dequeue` are the only ones that change them.

local inbox = {}

local KNOWN = 30                       -- seconds that a batch's outcomes are kept, for a reply that was lost
local ENDING = {answered = 'answer', busy = 'busy', limited = 'limited', denied = 'denied'}

function inbox.enqueue(message)
  message.state = 'waiting'
  call('ZADD', prefix .. 'inbox', message.seq, message.id)
  if message.kind == 'record' then
    call('ZADD', prefix .. 'records', message.seq, message.id)
    call('ZADD', prefix .. 'context:' .. message.conversation, message.seq, message.id)
  else
    call('ZADD', prefix .. 'queue:' .. message.conversation, message.seq, message.id)
    call('ZADD', prefix .. 'waiting:' .. message.bot, message.seq, message.id)
  end
  set('m:' .. message.id, message)
end

function inbox.dequeue(message)
  call('ZREM', prefix .. 'inbox', message.id)
  if message.kind == 'record' then
    call('ZREM', prefix .. 'records', message.id)
    call('ZREM', prefix .. 'context:' .. message.conversation, message.id)
  else
    call('ZREM', prefix .. 'queue:' .. message.conversation, message.id)
    call('ZREM', prefix .. 'waiting:' .. message.bot, message.id)
  end
end

function inbox.finish(message, outcome, cause)
  message.state, message.outcome, message.cause, message.ended_at = 'ended', outcome, cause, now
  set('m:' .. message.id, message)
  age(message.platform == 'web' and 'web' or 'text', 'm:' .. message.id)
  age('trace', 'm:' .. message.id)
end

-- Take the row away, wherever the message stands.
function inbox.remove(id)
  local message = get('m:' .. id)
  if not message then
    return
  end
  if message.state == 'waiting' then
    inbox.dequeue(message)
  end
  del('m:' .. id)
  del('b:' .. id)
  del('r:' .. id)
  conversations.leave(message.conversation, 'm:' .. id)
end

-- Waiting messages of a conversation, questions and context.
local function queued(conversation)
  local ids = call('ZRANGE', prefix .. 'queue:' .. conversation, 0, -1)
  for _, id in ipairs(call('ZRANGE', prefix .. 'context:' .. conversation, 0, -1)) do
    ids[#ids + 1] = id
  end
  return ids
end

-- --- dedupe ---

local function dedupe_key(intake, key)
  return prefix .. 'dedupe:' .. intake.channel .. '/' .. key
end

local function seen(intake)
  for _, key in ipairs(intake.dedupe) do
    local known = call('GET', dedupe_key(intake, key))
    if known then
      local id, hash = string.match(known, '^(%S+) (.*)$')
      local other = hash ~= '' and intake.body_hash and hash ~= intake.body_hash
      return {id = id, outcome = other and 'mismatch' or 'duplicate'}
    end
  end
  if call('EXISTS', prefix .. 'm:' .. intake.id) == 1 then
    return {id = intake.id, outcome = 'duplicate'}
  end
end

local function remember(intake, message)
  for _, key in ipairs(intake.dedupe) do
    if call('SET', dedupe_key(intake, key), message .. ' ' .. (intake.body_hash or ''), 'NX') then
      age('dedupe', intake.channel .. '/' .. key)
    end
  end
end

-- --- something was said ---

local function counted(intake)
  return prefix .. 'counted:' .. intake.channel .. '/' .. intake.row.sender
end

-- A sliding window over what the sender got through, so that a flood does not lock its sender out for ever.
local function over_limit(intake)
  local limit = intake.limit
  return limit and call('ZCOUNT', counted(intake), '(' .. exact(now - limit.seconds), '+inf') >= limit.count
end

local function count(intake)
  call('ZADD', counted(intake), exact(now), intake.id)
  call('ZREMRANGEBYSCORE', counted(intake), '-inf', exact(now - intake.limit.seconds))
  call('EXPIRE', counted(intake), math.ceil(intake.limit.seconds) + 60)
end

local function over_bounds(intake)
  local conversation = conversations.find(intake.key)
  if conversation and call('ZCARD', prefix .. 'queue:' .. conversation) >= intake.per_conversation then
    return true
  end
  return call('ZCARD', prefix .. 'waiting:' .. intake.key.bot) >= intake.per_bot
end

local function judge(intake)
  local verdict = intake.verdict
  if verdict == 'ask' or verdict == 'answer' then
    if over_limit(intake) then
      return 'limited'
    end
    if verdict == 'answer' then
      return 'answered'
    end
    return over_bounds(intake) and 'busy' or 'accepted'
  end
  return verdict == 'deny' and 'denied' or 'recorded'
end

-- The text that this ending sends: over the limit once a window, denied once in `denied_every`.
local function notice(intake, outcome)
  local parts = intake.endings[ENDING[outcome] or ''] or {}
  local pause = (outcome == 'limited' and intake.limit.seconds) or (outcome == 'denied' and intake.denied_every)
  if #parts > 0 and pause then
    local key = prefix .. 'told:' .. outcome .. ':' .. intake.channel .. '/' .. intake.row.sender
    local told = tonumber(call('GET', key) or '-inf')
    if told and told > now - pause then
      return {}
    end
    call('SET', key, exact(now), 'EX', math.ceil(pause) + 60)
  end
  return parts
end

-- Context beyond the bound pushes out the oldest: nobody waits for it, and the newest tells most.
local function make_room(intake, conversation)
  local context = prefix .. 'context:' .. conversation
  local excess = call('ZCARD', context) - intake.per_conversation + 1
  for _, id in ipairs(excess > 0 and call('ZRANGE', context, 0, excess - 1) or {}) do
    local message = get('m:' .. id)
    inbox.dequeue(message)
    inbox.finish(message, 'expired', 'queue_full')
    del('r:' .. id)
    ledger.count(message.bot, 'dropped')
  end
end

local function store(intake, outcome, noticed)
  local shown, ended, message = outcome ~= 'denied', ENDING[outcome] ~= nil, intake.row
  local conversation, first = conversations.number(intake.key, shown and 1 or 0)
  message.id, message.conversation, message.accepted_at = intake.id, conversation, now
  message.seq = call('INCR', prefix .. 'next:message')
  message.log_seq = shown and first or nil
  message.kind = outcome == 'recorded' and 'record' or 'ask'
  call('SADD', prefix .. 'bots', message.bot)
  if message.kind == 'record' then
    make_room(intake, conversation)
  end
  if shown then
    set('b:' .. intake.id, intake.body)
    if intake.raw and not ended then
      call('SET', prefix .. 'r:' .. intake.id, intake.raw)
    end
  end
  conversations.enter(conversation, 'm:' .. intake.id, message.log_seq)
  if ended then
    inbox.finish(message, outcome)
  else
    inbox.enqueue(message)
  end
  if intake.limit and (outcome == 'accepted' or outcome == 'answered' or outcome == 'busy') then
    count(intake)
  end
end

local take = {}

function take.said(intake)
  if intake.verdict == 'ignore' then
    return {id = intake.id, outcome = 'ignored'}
  end
  local outcome = judge(intake)
  local parts = notice(intake, outcome)
  store(intake, outcome)
  if #parts > 0 then
    outbox.enqueue(intake.key, intake.body.to, intake.body.address, parts, intake.id, intake.id)
  end
  wake(ENDING[outcome] and 'message/' .. intake.id or 'inbox/' .. intake.organization)
  return {id = intake.id, outcome = outcome, notice = #parts > 0}
end

function take.unreadable(intake)
  local conversation = conversations.number(intake.key, 0)
  local message = intake.row
  message.id, message.conversation, message.accepted_at, message.sent_at = intake.id, conversation, now, now
  message.seq, message.kind = call('INCR', prefix .. 'next:message'), 'ask'
  call('SADD', prefix .. 'bots', message.bot)
  call('SET', prefix .. 'r:' .. intake.id, intake.raw)
  conversations.enter(conversation, 'm:' .. intake.id)
  inbox.finish(message, 'quarantined', intake.cause)
  letters.write({
    id = intake.id, kind = 'update', bot = message.bot, conversation = conversation, message = intake.id,
    outcome = 'quarantined', cause = intake.cause,
  })
  return {id = intake.id, outcome = 'quarantined'}
end

-- --- edits, deletions and moves count only while the message waits ---

local function still_waiting(intake)
  local conversation = conversations.find(intake.key)
  for _, id in ipairs(conversation and queued(conversation) or {}) do
    local message = get('m:' .. id)
    if message.message_id == intake.message_id then
      return message
    end
  end
end

function take.edited(intake)
  local message = still_waiting(intake)
  if not message then
    return {id = intake.id, outcome = 'ignored'}
  end
  local body = get('b:' .. message.id)
  body.text, message.size = intake.text, intake.size
  set('b:' .. message.id, body)
  set('m:' .. message.id, message)
  return {id = message.id, outcome = 'amended'}
end

function take.deleted(intake)
  local message = still_waiting(intake)
  if not message then
    return {id = intake.id, outcome = 'ignored'}
  end
  inbox.dequeue(message)
  inbox.finish(message, 'deleted')
  del('b:' .. message.id)
  del('r:' .. message.id)
  conversations.enter(message.conversation, 'm:' .. message.id, 0)
  wake('message/' .. message.id)
  return {id = message.id, outcome = 'amended'}
end

-- Open messages answer to the new address, those in turns too: their parts are made from them.
local function readdress(conversation, intake)
  local ids = queued(conversation)
  for _, turn_id in ipairs(call('HKEYS', prefix .. 'open')) do
    local turn = get('t:' .. turn_id)
    if turn.conversation == conversation then
      for _, id in ipairs(turn.messages) do
        ids[#ids + 1] = id
      end
    end
  end
  for _, id in ipairs(ids) do
    local body = get('b:' .. id)
    if body then
      body.to, body.address, body.chat = intake.to, intake.address, intake.new.chat
      set('b:' .. id, body)
    end
  end
end

-- Rename the conversation; where the new one exists already, only what waits goes there, after what it has.
local function join(old, new)
  if not conversations.find(new) then
    conversations.rename(old, new)
    return
  end
  local ids = queued(old)
  local moving = {}
  for i, id in ipairs(ids) do
    moving[i] = get('m:' .. id)
  end
  table.sort(moving, function(a, b) return a.seq < b.seq end)
  for _, message in ipairs(moving) do
    inbox.dequeue(message)
    conversations.leave(old, 'm:' .. message.id)
    message.conversation, message.log_seq = conversations.number(new, 1)
    conversations.enter(message.conversation, 'm:' .. message.id, message.log_seq)
    inbox.enqueue(message)
  end
end

function take.moved(intake)
  outbox.redirect(intake.key, intake.old_to, intake.to, intake.address)
  local old = conversations.find(intake.key)
  if old then
    readdress(old, intake)
    join(old, intake.new)
  end
  return {id = intake.id, outcome = 'amended'}
end

-- --- the batch ---

function entry.accept(a)
  local done = get('batch:' .. a.batch)
  if done then
    return done
  end
  local results = {}
  for i, intake in ipairs(a.intakes) do
    results[i] = seen(intake) or take[intake.kind](intake)
    remember(intake, results[i].id)
  end
  call('SET', prefix .. 'batch:' .. a.batch, cmsgpack.pack(results), 'EX', KNOWN)
  return results
end

function entry.find(a)
  local known = call('GET', prefix .. 'dedupe:' .. a.channel .. '/' .. a.key)
  return known and string.match(known, '^(%S+)') or nil
end

-- --- what waits ---

function entry.waiting(a)
  local heads, known = {}, {}
  for i, id in ipairs(call('ZRANGEBYSCORE', prefix .. 'inbox', '(' .. a.after, '+inf', 'LIMIT', 0, a.limit)) do
    local message = get('m:' .. id)
    local conversation = known[message.conversation] or conversations.row(message.conversation)
    known[message.conversation] = conversation
    message.chat = conversation.chat
    heads[i] = message
  end
  return heads
end

function entry.peek(a)
  local message = get('m:' .. a.id)
  if message and message.state == 'waiting' then
    return {message = message, body = get('b:' .. a.id)}
  end
end

function entry.notify(a)
  local message = get('m:' .. a.id)
  if not message or message.state ~= 'waiting' or call('EXISTS', prefix .. 'of:' .. a.id) == 1 then
    return false
  end
  local body = get('b:' .. a.id)
  outbox.enqueue(conversations.row(message.conversation), body.to, body.address, a.parts, a.id, a.id)
  return true
end

function entry.queue()
  return call('ZCARD', prefix .. 'inbox') - call('ZCARD', prefix .. 'records')
end
