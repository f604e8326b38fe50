-- Small values that outlive a process. The server forgets them by itself some time after nobody may read them.

local GRACE = 60

function entry.recall(a)
  local note = get('note')
  if note and (not note.expires_at or note.expires_at > now) then
    return note.value
  end
end

function entry.remember(a)
  if not a.value then
    del('note')
    return
  end
  set('note', {scope = a.scope, key = a.key, value = a.value, expires_at = a.ttl and now + a.ttl})
  if a.ttl then
    call('EXPIRE', prefix .. 'note', math.ceil(a.ttl) + GRACE)
  end
end

function entry.secret(a)
  call('SET', prefix .. 'secret', a.value, 'NX')
  return call('GET', prefix .. 'secret')
end
