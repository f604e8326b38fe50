-- What all scripts are made of. One call concerns one organisation (or one note, one lease): every key begins with
-- KEYS[1], which carries the hash tag, so that a Cluster keeps all of it in one slot.
--
-- Rows are MessagePack maps. What only Python reads (what was said, parts, addresses) is text inside them: JSON that
-- went through a script would come back as other JSON. Numbers become text by `exact`, or lose digits.

local call = redis.call
local prefix = KEYS[1]
local entry = {}                       -- what may be called from outside
local woken, wakes = {}, {}

local function exact(number)
  return string.format('%.17g', number)
end

local function get(key)
  local blob = call('GET', prefix .. key)
  return blob and cmsgpack.unpack(blob) or nil
end

local function set(key, row)
  call('SET', prefix .. key, cmsgpack.pack(row))
end

local function del(key)
  return call('DEL', prefix .. key)
end

local function wake(topic)
  if not woken[topic] then
    woken[topic] = true
    wakes[#wakes + 1] = topic
  end
end

-- Things that will have to be forgotten stand in the order of their time, oldest first; whoever takes one out looks
-- whether it is still so.
local function age(queue, thing)
  call('RPUSH', prefix .. 'aged:' .. queue, exact(now) .. ' ' .. thing)
end

-- Why a lease may not write here: somebody has held it under a greater token, or it has not been seen here yet, and
-- has to be looked up. The greatest token seen is kept beside the rows that it protects.
local function fenced(lease)
  local newest = tonumber(call('HGET', prefix .. 'fences', lease.name) or nil)
  if not newest then
    return 'unknown_lease'
  elseif lease.token < newest then
    return 'superseded', newest
  elseif lease.token > newest then
    call('HSET', prefix .. 'fences', lease.name, lease.token)
  end
end
