-- A lease: who holds it, and the number that grows with each holder. It is free when its holder let go of it, or when
-- the session it was taken in is known to be gone (`gone`: sessions never come back under the same name).

function entry.draw(a)
  local lease = get('lease') or {token = 0}
  if lease.holder and lease.holder ~= a.gone and lease.claim ~= a.claim then
    return {holder = lease.holder}
  end
  if lease.claim ~= a.claim or lease.token <= a.above then
    lease.holder, lease.claim, lease.token = a.session, a.claim, math.max(lease.token, a.above) + 1
    set('lease', lease)
  end
  return {token = lease.token}
end

function entry.let_go(a)
  local lease = get('lease')
  if lease and lease.claim == a.claim then
    lease.holder = nil
    set('lease', lease)
    wake('lease/' .. a.name)
  end
end

function entry.newest()
  local lease = get('lease')
  return lease and lease.token or 0
end

-- Make a new holder's token known where it will write. One that is there already, or a greater one, is returned: then
-- the lease's own counter was lost, and another token has to be drawn.
function entry.plant(a)
  local newest = tonumber(call('HGET', prefix .. 'fences', a.lease.name) or '0')
  if newest >= a.lease.token then
    return newest
  end
  call('HSET', prefix .. 'fences', a.lease.name, a.lease.token)
end

-- Who is there: a process is forgotten when it has not said so for its `ttl`.
function entry.gather(a)
  call('ZADD', prefix .. 'until', exact(now + a.ttl), a.pod)
  call('HSET', prefix .. 'marks', a.pod, a.mark)
  for _, gone in ipairs(call('ZRANGEBYSCORE', prefix .. 'until', '-inf', '(' .. exact(now))) do
    entry.leave({pod = gone})
  end
  return call('HGETALL', prefix .. 'marks')
end

function entry.leave(a)
  call('ZREM', prefix .. 'until', a.pod)
  call('HDEL', prefix .. 'marks', a.pod)
end
