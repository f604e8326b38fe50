-- Conversations and their logs: every message and part has a number, dense and growing in its conversation. The log
-- holds all rows of the conversation; what is not shown (any more) stands in it with the number 0.

local conversations = {}

local function title(key)
  return key.bot .. '/' .. key.platform .. '/' .. key.chat
end

local function channel_of(key)
  return key.bot .. '/' .. key.platform
end

function conversations.find(key)
  return call('GET', prefix .. 'conversation:' .. title(key)) or nil
end

function conversations.row(id)
  return get('c:' .. id)
end

-- Draw `count` numbers for new entries; returns the conversation's id and the first of them.
function conversations.number(key, count)
  local id = conversations.find(key)
  local row = id and conversations.row(id)
  if not row then
    id = tostring(call('INCR', prefix .. 'next:conversation'))
    row = {bot = key.bot, platform = key.platform, chat = key.chat, last = 0, trimmed = 0}
    call('SET', prefix .. 'conversation:' .. title(key), id)
  end
  row.last, row.seen_at = row.last + count, now
  set('c:' .. id, row)
  call('ZADD', prefix .. 'conversations', exact(now), id)
  if count > 0 then
    wake('conversation/' .. title(key))
  end
  return id, row.last - count + 1
end

function conversations.enter(id, thing, number)
  call('ZADD', prefix .. 'log:' .. id, number or 0, thing)
end

function conversations.leave(id, thing)
  call('ZREM', prefix .. 'log:' .. id, thing)
end

-- Entries up to this number may be gone, so that a reader with an older cursor is told.
function conversations.trim(id, upto)
  local row = conversations.row(id)
  if row and upto > row.trimmed then
    row.trimmed = upto
    set('c:' .. id, row)
  end
end

-- The text is gone, the row stays.
function conversations.blank(id, thing, number)
  if number then
    conversations.enter(id, thing, 0)
    conversations.trim(id, number)
  end
end

function conversations.rename(id, new)
  local row = conversations.row(id)
  call('DEL', prefix .. 'conversation:' .. title(row))
  row.chat = new.chat
  set('c:' .. id, row)
  call('SET', prefix .. 'conversation:' .. title(new), id)
end

local function logged(thing)
  local kind, id = string.sub(thing, 1, 1), string.sub(thing, 3)
  if kind == 'm' then
    return {message = get(thing), body = get('b:' .. id)}
  end
  return {part = get(thing), text = call('GET', prefix .. 'pb:' .. id)}
end

function entry.log(a)
  local id = conversations.find(a.key)
  if not id then
    return nil
  end
  local row = conversations.row(id)
  local trimmed = a.after > row.last or (a.after > 0 and a.after < row.trimmed)
  local first = '(' .. (trimmed and 0 or a.after)
  local found
  if a.before then
    found = call('ZREVRANGEBYSCORE', prefix .. 'log:' .. id, '(' .. a.before, first, 'LIMIT', 0, a.limit + 1)
  else
    found = call('ZRANGEBYSCORE', prefix .. 'log:' .. id, first, '+inf', 'LIMIT', 0, a.limit + 1)
  end
  local entries = {}
  for i = 1, math.min(#found, a.limit) do
    entries[i] = logged(found[i])
  end
  return {entries = entries, trimmed = trimmed, more = #found > a.limit}
end
