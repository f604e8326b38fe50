-- Dead letters: what was given up, why, and the way back.

local letters = {}

-- Numbers grow with time, so that those of several organisations can be listed together.
local function next_letter()
  local last = tonumber(call('GET', prefix .. 'next:letter') or '0')
  local number = math.max(last + 1, math.floor(now * 1e6))
  call('SET', prefix .. 'next:letter', exact(number))
  return number
end

function letters.drop(id)
  local letter = get('l:' .. id)
  if not letter then
    return false
  end
  del('l:' .. id)
  call('ZREM', prefix .. 'letters', id)
  call('ZREM', prefix .. 'letters:' .. letter.bot, id)
  conversations.leave(letter.conversation, 'l:' .. id)
  return true
end

function letters.write(letter)
  letters.drop(letter.id)
  letter.seq, letter.at = next_letter(), now
  set('l:' .. letter.id, letter)
  call('ZADD', prefix .. 'letters', exact(letter.seq), letter.id)
  call('ZADD', prefix .. 'letters:' .. letter.bot, exact(letter.seq), letter.id)
  conversations.enter(letter.conversation, 'l:' .. letter.id)
end

function letters.of_part(part)
  letters.write({
    id = part.id, kind = 'part', bot = part.bot, conversation = part.conversation,
    message = part.in_reply_to or part.owner, outcome = part.state, cause = part.cause,
  })
end

function letters.purge(before, kept, batch)
  local excess = math.max(0, call('ZCARD', prefix .. 'letters') - kept)
  local dropped = 0
  for i, id in ipairs(call('ZRANGE', prefix .. 'letters', 0, batch - 1)) do
    if i > excess and get('l:' .. id).at > before then
      break
    end
    letters.drop(id)
    dropped = dropped + 1
  end
  return dropped
end

local function shown(id)
  local letter = get('l:' .. id)
  return letter and {letter = letter, conversation = conversations.row(letter.conversation)}
end

function entry.dead_letters(a)
  local among = prefix .. 'letters' .. (a.bot and ':' .. a.bot or '')
  local last = a.before and '(' .. exact(a.before) or '+inf'
  local found = {}
  for i, id in ipairs(call('ZREVRANGEBYSCORE', among, last, '-inf', 'LIMIT', 0, a.limit)) do
    found[i] = shown(id)
  end
  return found
end

function entry.dead_letter(a)
  local found = shown(a.id)
  if found and found.letter.kind == 'update' then
    found.raw = call('GET', prefix .. 'r:' .. found.letter.message) or nil
  end
  return found
end

function entry.drop(a)
  return letters.drop(a.id)
end
