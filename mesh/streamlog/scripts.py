"""What happens in Redis: each operation is one Lua script, atomic and one round trip.

A log has three keys of one hash slot: its entries (a stream whose ids are ``<sequence>-0``, so that Redis itself
refuses a sequence that does not grow), its state (a hash: epoch, seq, end, lease, stop, followed) and its notes (a
hash). The state's name is also the channel on which is told that something changed: ``n`` new entries, ``o`` opened by
another epoch, ``r`` lease given back, ``s`` stop asked for. New entries are told only while somebody follows, who says
so at each look (``followed``, until when): mostly nobody does, and the producer itself would have to listen to each.

``lease`` is when the producer's lease ends, in milliseconds of the server's own clock.
"""

_NOW = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# ARGV: epoch, lease ms, time to live ms, mode. Answers the notes and entries that earlier epochs left. Modes: `fresh`,
# the log begins anew; `restart`, it does if it has ended; `keep`, it stays as it is.
OPEN = (
    _NOW
    + """
local held = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0')
local mine = tonumber(ARGV[1])
if held > mine then
  return {'fenced', held}
end
local ended = redis.call('HEXISTS', KEYS[2], 'end') == 1
if ARGV[4] == 'fresh' or (ARGV[4] == 'restart' and ended) then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  ended = false
end
redis.call('HSET', KEYS[2], 'epoch', mine, 'lease', ended and 0 or now() + ARGV[2])
if not ended then
  for i = 1, 3 do
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
end
redis.call('PUBLISH', KEYS[2], 'o')
return {'held', redis.call('HGETALL', KEYS[3]), redis.call('XRANGE', KEYS[1], '-', '+')}
"""
)

# ARGV: epoch, lease ms, time to live ms, sequence before the first entry, reset, number of notes, then name and value
# of each note, then epoch, data and end of each entry. Without entries and notes it is the heartbeat.
#
# Sent again after a lost answer it changes nothing, and neither does a reset that comes late, after what was sent
# behind it. When Redis knows less than the producer thinks (it came back from an older snapshot, or empty), the answer
# is `behind`, and the producer begins from the first entry with reset.
APPEND = (
    _NOW
    + """
local state = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'stop', 'followed')
local held, seq, stop = tonumber(state[1] or '0'), tonumber(state[2] or '0'), state[3] or ''
local followed = tonumber(state[4] or '0') > now()
local mine, base, notes = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[6])
if held > mine then
  return {'fenced', held}
end
local first = 7 + 2 * notes
local count = (#ARGV - first + 1) / 3
if ARGV[5] == '1' then
  if held == mine and seq >= count and redis.call('XLEN', KEYS[1]) == seq then
    return {'ok', seq, stop, followed and '1' or ''}
  end
  redis.call('DEL', KEYS[1])
  redis.call('HDEL', KEYS[2], 'end')
  if held < mine then
    redis.call('HDEL', KEYS[2], 'stop')
    stop = ''
  end
  seq = 0
elseif held < mine or seq < base or (seq > 0 and redis.call('EXISTS', KEYS[1]) == 0) then
  return {'behind', seq}
end
for i = 1, notes do
  redis.call('HSET', KEYS[3], ARGV[5 + 2 * i], ARGV[6 + 2 * i])
end
local ended = ''
for i = seq - base + 1, count do
  local at = first + 3 * (i - 1)
  seq = base + i
  redis.call('XADD', KEYS[1], seq .. '-0', 'e', ARGV[at], 'd', ARGV[at + 1], 'x', ARGV[at + 2])
  ended = ARGV[at + 2]
end
if ended ~= '' then
  redis.call('HSET', KEYS[2], 'epoch', mine, 'seq', seq, 'end', ended, 'lease', 0)
  redis.call('DEL', KEYS[3])
elseif redis.call('HEXISTS', KEYS[2], 'end') == 0 then
  redis.call('HSET', KEYS[2], 'epoch', mine, 'seq', seq, 'lease', now() + ARGV[2])
end
if count == 0 or base == 0 or ended ~= '' then
  for i = 1, 3 do
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
end
if count > 0 and (followed or ended ~= '') then
  redis.call('PUBLISH', KEYS[2], 'n')
end
return {'ok', seq, stop, followed and '1' or ''}
"""
)

# ARGV: sequence of the first entry that is wanted; empty: none is. Who wants some follows, and looks once a second. A
# server that takes no writes is read all the same.
READ = (
    _NOW
    + """
local state = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'end', 'lease', 'stop')
if not state[1] then
  return {}
end
local entries = {}
if ARGV[1] ~= '' then
  entries = redis.call('XRANGE', KEYS[1], ARGV[1] .. '-0', '+')
  if not state[3] then
    redis.pcall('HSET', KEYS[2], 'followed', now() + 5000)
  end
end
local left = (state[4] or 0) - now()
return {tonumber(state[1]), tonumber(state[2] or '0'), state[3] or '', left, state[5] or '', entries}
"""
)

# No ARGV.
STOP = """
if redis.call('HEXISTS', KEYS[2], 'epoch') == 1 and redis.call('HEXISTS', KEYS[2], 'end') == 0 then
  redis.call('HSET', KEYS[2], 'stop', '1')
  redis.call('PUBLISH', KEYS[2], 's')
  return 1
end
return 0
"""

# ARGV: epoch.
RELEASE = """
if redis.call('HGET', KEYS[2], 'epoch') == ARGV[1] then
  redis.call('HSET', KEYS[2], 'lease', 0)
  redis.call('PUBLISH', KEYS[2], 'r')
  return 1
end
return 0
"""

ALL = (OPEN, APPEND, READ, STOP, RELEASE)
