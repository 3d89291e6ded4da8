"""The Lua scripts. Those for documents treat every key by itself, use only GET, MGET, SET and DEL, and write last.

So a command that an ACL denies, or memory that is full, never leaves a step half done. Errors are returned for the
key they belong to (`pcall`), so that one bad key spoils no other in the same call.
"""

import hashlib


class Script:
    """A script's source and the SHA-1 under which Redis caches it."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source: str = source
        self.sha: str = hashlib.sha1(source.encode("utf-8"), usedforsecurity=False).hexdigest()


# KEYS: session keys. ARGV, three for each key: the expected value, the new one ('' deletes), the TTL in
# milliseconds ('0' keeps it). Reply, one for each key: 1 done, 0 gone, the other value that is there, or an error.
# A key may come more than once, where writers have overtaken one that is overdue: `put` is what it holds by then.
SWAP = Script("""
local call = redis.pcall
local stored = call('MGET', unpack(KEYS))
if stored.err then
  return stored
end
local replies, put = {}, {}
for i, key in ipairs(KEYS) do
  local expected, document, ttl = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local current = stored[i]
  if put[key] ~= nil then
    current = put[key]
  end
  if current == false then
    replies[i] = 0
  elseif current ~= expected then
    replies[i] = current
  else
    local done
    if document == '' then
      done = call('DEL', key)
    elseif ttl == '0' then
      done = call('SET', key, document, 'KEEPTTL')
    else
      done = call('SET', key, document, 'PX', ttl)
    end
    if type(done) == 'table' and done.err then
      replies[i] = done
    else
      replies[i] = 1
      put[key] = document ~= '' and document
    end
  end
end
return replies
""")

# KEYS: one session key. ARGV: the grace in milliseconds ('0' deletes), the blank tombstone.
# Reply: 1 if a document died, 0 if there was none, the tombstone that was there already, or an error.
END = Script("""
local current = redis.pcall('GET', KEYS[1])
local died = 0
if type(current) == 'table' then
  if not string.find(current.err, 'WRONGTYPE', 1, true) then
    return current
  end
elseif current then
  if current == ARGV[2] or string.sub(current, 1, 6) == 'moved ' or string.sub(current, 1, 7) == 'follow ' then
    return current
  end
  if string.sub(current, 1, 1) == '{' then
    died = 1
  end
end
local done
if ARGV[1] == '0' then
  done = redis.pcall('DEL', KEYS[1])
else
  done = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
end
if type(done) == 'table' and done.err then
  return done
end
return died
""")

# KEYS: a user's index. ARGV: the member, until when it stands there, the time before which members are over (both as
# scores), and the milliseconds that the index lives at least. Reply: 1, or an error.
# The member comes first: if a later command is denied, the index has one too many, never one too few.
ENLIST = Script("""
local call, index = redis.pcall, KEYS[1]
local done = call('ZADD', index, 'GT', ARGV[2], ARGV[1])
if type(done) == 'table' and done.err and string.find(done.err, 'WRONGTYPE', 1, true) then
  call('DEL', index)
  done = call('ZADD', index, 'GT', ARGV[2], ARGV[1])
end
if type(done) ~= 'table' then
  done = call('ZREMRANGEBYSCORE', index, '-inf', '(' .. ARGV[3])
end
if type(done) ~= 'table' then
  done = call('PTTL', index)
end
if type(done) == 'number' and done < tonumber(ARGV[4]) then
  done = call('PEXPIRE', index, ARGV[4])
end
if type(done) == 'table' and done.err then
  return done
end
return 1
""")
