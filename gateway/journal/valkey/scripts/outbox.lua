-- Parts on their way out. A lane (one chat of one bot) is first in, first out, and sends one part at a time.
--
-- A lane's open parts stand in `lane:` by their number; what is being sent has it negated and so stands before all
-- others. From its first part follows where the lane itself stands: in `ready:` of its channel, in `late:` by the time
-- that it is held back until, or in neither. `settle` decides that after every change.

local outbox = {}

local function hold_of(key)
  return tonumber(call('ZSCORE', prefix .. 'holds', key) or '0')
end

local function settle(channel, lane)
  local key = channel .. '/' .. lane
  local first = call('ZRANGE', prefix .. 'lane:' .. key, 0, 0, 'WITHSCORES')
  call('ZREM', prefix .. 'ready:' .. channel, lane)
  call('ZREM', prefix .. 'late:' .. channel, lane)
  if #first == 0 or tonumber(first[2]) < 0 then
    return
  end
  local part = get('p:' .. first[1])
  local due = math.max(part.not_before or 0, hold_of(key))
  if due > now then
    call('ZADD', prefix .. 'late:' .. channel, exact(due), lane)
  else
    call('ZADD', prefix .. 'ready:' .. channel, part.seq, lane)
  end
end

local function lane_of(part)
  return prefix .. 'lane:' .. channel_of(part) .. '/' .. part.lane
end

-- Add the parts of one reply, with consecutive numbers in the conversation's log.
function outbox.enqueue(key, to, address, parts, owner, in_reply_to)
  local conversation, first = conversations.number(key, #parts)
  for i, made in ipairs(parts) do
    local part = {
      id = made.id, seq = call('INCR', prefix .. 'next:part'), bot = key.bot, platform = key.platform, lane = to,
      conversation = conversation, log_seq = first + i - 1, owner = owner, index = i - 1, count = #parts,
      purpose = made.purpose, address = address, in_reply_to = in_reply_to, created_at = now, state = 'waiting',
      attempt = 0,
    }
    set('p:' .. part.id, part)
    call('SET', prefix .. 'pb:' .. part.id, made.text)
    call('RPUSH', prefix .. 'of:' .. owner, part.id)
    call('ZADD', lane_of(part), part.seq, part.id)
    conversations.enter(conversation, 'p:' .. part.id, part.log_seq)
  end
  if #parts > 0 then
    settle(channel_of(key), to)
    wake('outbox/' .. channel_of(key))
  end
end

local function start(part, token)
  part.state, part.sending_at, part.token, part.attempt = 'sending', now, token, part.attempt + 1
  set('p:' .. part.id, part)
  call('ZADD', lane_of(part), -part.seq, part.id)
  call('ZADD', prefix .. 'sending:' .. channel_of(part), part.seq, part.id)
end

-- It waits (again): in its place, and not before that time.
local function put_back(part, not_before)
  part.state, part.not_before = 'waiting', not_before
  set('p:' .. part.id, part)
  call('ZADD', lane_of(part), part.seq, part.id)
  call('ZREM', prefix .. 'sending:' .. channel_of(part), part.id)
  settle(channel_of(part), part.lane)
end

local function end_part(part, state, cause)
  local open = not part.ended_at
  part.state, part.ended_at, part.cause = state, now, cause
  set('p:' .. part.id, part)
  age(part.platform == 'web' and 'web' or 'text', 'p:' .. part.id)
  age('trace', 'p:' .. part.id)
  if open then
    call('ZREM', lane_of(part), part.id)
    call('ZREM', prefix .. 'sending:' .. channel_of(part), part.id)
    settle(channel_of(part), part.lane)
  end
end

-- Take the row away, wherever the part stands.
function outbox.remove(id)
  local part = get('p:' .. id)
  if not part then
    return
  end
  del('p:' .. id)
  del('pb:' .. id)
  call('LREM', prefix .. 'of:' .. part.owner, 1, id)
  conversations.leave(part.conversation, 'p:' .. id)
  if not part.ended_at then
    call('ZREM', lane_of(part), id)
    call('ZREM', prefix .. 'sending:' .. channel_of(part), id)
    settle(channel_of(part), part.lane)
  end
end

-- Open parts of the old lane go to the new address; what held the old lane back does not hold them.
function outbox.redirect(key, old_to, to, address)
  local channel = channel_of(key)
  local old = prefix .. 'lane:' .. channel .. '/' .. old_to
  local open = call('ZRANGE', old, 0, -1, 'WITHSCORES')
  del('lane:' .. channel .. '/' .. old_to)
  for i = 1, #open, 2 do
    local part = get('p:' .. open[i])
    part.lane, part.address = to, address
    set('p:' .. part.id, part)
    call('ZADD', lane_of(part), open[i + 1], part.id)
  end
  settle(channel, old_to)
  settle(channel, to)
  wake('outbox/' .. channel)
end

function outbox.send_again(id)
  local part = get('p:' .. id)
  if not part or not call('GET', prefix .. 'pb:' .. id) or (part.state ~= 'dead' and part.state ~= 'unknown') then
    return false
  end
  part.ended_at, part.cause, part.attempt = nil, nil, 0
  put_back(part, nil)
  wake('outbox/' .. channel_of(part))
  return true
end

local function delivery(id)
  local part = get('p:' .. id)
  return {part = part, text = call('GET', prefix .. 'pb:' .. id) or nil, conversation = conversations.row(part.conversation)}
end

local function deliveries(ids)
  local found = {}
  for i, id in ipairs(ids) do
    found[i] = delivery(id)
  end
  return found
end

-- What the same call claimed before, where its reply was lost: it is still being sent under this very token.
local function claimed_before(a)
  local last = get('claimed:' .. a.channel)
  if not last or last.lease ~= a.lease.name or last.token ~= a.lease.token or last.number ~= a.number then
    return nil
  end
  local ids = {}
  for _, id in ipairs(last.ids) do
    local part = get('p:' .. id)
    if part and part.state == 'sending' and part.token == a.lease.token then
      ids[#ids + 1] = id
    end
  end
  return ids
end

function entry.claim_deliveries(a)
  local ids = claimed_before(a)
  if ids then
    return deliveries(ids)
  end
  ids = {}
  if hold_of(a.channel) > now then
    return ids
  end
  for _, lane in ipairs(call('ZRANGEBYSCORE', prefix .. 'late:' .. a.channel, '-inf', exact(now))) do
    settle(a.channel, lane)
  end
  for i, lane in ipairs(call('ZRANGE', prefix .. 'ready:' .. a.channel, 0, a.limit - 1)) do
    ids[i] = call('ZRANGE', prefix .. 'lane:' .. a.channel .. '/' .. lane, 0, 0)[1]
    start(get('p:' .. ids[i]), a.lease.token)
    call('ZREM', prefix .. 'ready:' .. a.channel, lane)
  end
  if #ids > 0 then
    set('claimed:' .. a.channel, {lease = a.lease.name, token = a.lease.token, number = a.number, ids = ids})
  end
  return deliveries(ids)
end

local function wake_for_the_next(part)
  if call('EXISTS', lane_of(part)) == 1 then
    wake('outbox/' .. channel_of(part))
  end
end

-- What the platform says is the truth, also where the part was given up meanwhile.
function entry.delivered(a)
  local part = get('p:' .. a.id)
  if part and part.state ~= 'sent' then
    part.platform_ids = a.platform_ids
    end_part(part, 'sent', nil)
    letters.drop(part.id)
    wake_for_the_next(part)
  end
end

function entry.bury(a)
  local part = get('p:' .. a.id)
  if part and not part.ended_at then
    end_part(part, a.unknown and 'unknown' or 'dead', a.cause)
    letters.of_part(part)
    wake_for_the_next(part)
  end
end

function entry.kill_lane(a)
  local ids = call('ZRANGE', prefix .. 'lane:' .. a.channel .. '/' .. a.lane, 0, -1)
  for _, id in ipairs(ids) do
    local part = get('p:' .. id)
    end_part(part, 'dead', a.cause)
    letters.of_part(part)
  end
  return #ids
end

function entry.postpone(a)
  if a.id then
    local part = get('p:' .. a.id)
    if part and not part.ended_at then
      put_back(part, a['until'])
    end
  end
  if a.lane then
    call('ZADD', prefix .. 'holds', exact(a['until']), a.channel .. '/' .. a.lane)
    settle(a.channel, a.lane)
  elseif not a.id then
    call('ZADD', prefix .. 'holds', exact(a['until']), a.channel)
  end
  wake('outbox/' .. a.channel)
end

function entry.next_due(a)
  local hold, due = hold_of(a.channel), nil
  local late = call('ZRANGE', prefix .. 'late:' .. a.channel, 0, 0, 'WITHSCORES')
  if #late > 0 then
    due = math.max(tonumber(late[2]), hold)
  end
  if hold > 0 and call('EXISTS', prefix .. 'ready:' .. a.channel) == 1 then
    due = math.min(due or hold, hold)
  end
  return due
end

function entry.inherit_deliveries(a)
  local ids = {}
  for _, id in ipairs(call('ZRANGE', prefix .. 'sending:' .. a.channel, 0, -1)) do
    local part = get('p:' .. id)
    if part.token < a.lease.token then
      part.token = a.lease.token
      set('p:' .. id, part)
      ids[#ids + 1] = id
    end
  end
  return deliveries(ids)
end
