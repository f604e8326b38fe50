-- The way in: ARGV is the name of an entry, its arguments (a MessagePack map), and whom wake-ups come from.

local name, arguments, origin = ARGV[1], cmsgpack.unpack(ARGV[2]), ARGV[3]

-- A server that is full refuses a script at its first write, if that takes room, and lets it be once it has written.
-- What is in may be finished, so all but the entries that take something in begin with a write that takes none.
local TAKES_IN = {accept = true, remember = true, probe = true}
local READS = {
  log = true, spent_since = true, dead_letters = true, dead_letter = true, find = true, waiting = true, peek = true,
  queue = true, message = true, knows = true, counts = true, next_due = true, recall = true, newest = true, now = true,
}
if not READS[name] and not TAKES_IN[name] then
  call('DEL', prefix .. 'nothing')
end

local fence, newest
if arguments.lease and name ~= 'plant' then
  fence, newest = fenced(arguments.lease)
end
if fence then
  return cmsgpack.pack({time = now, refused = fence, newest = newest})
end
local result, refused = entry[name](arguments)
if ARGV[4] == 'replicated' then        -- also what changed nothing waits for what it found to be replicated
  call('SET', prefix .. 'replicated', exact(now))
end
for _, topic in ipairs(wakes) do
  call('PUBLISH', 'gw:' .. topic, origin .. ' {}')
end
-- `time` is there so that an answer is never an empty table, which would be packed as a list.
return cmsgpack.pack({time = now, result = result, refused = refused, wakes = #wakes > 0 and wakes or nil})
