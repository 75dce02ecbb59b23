"""What happens in Redis: each operation is one Lua script, atomic and one round trip.

A log has three keys of one hash slot: its entries (a stream whose ids are ``<sequence>-0``, so that Redis itself
refuses a sequence that does not grow), its state (a hash: epoch, seq, end, lease, stop) and its notes (a hash). The
state's name is also the channel on which is told that something changed: ``n`` new entries, ``o`` opened by another
epoch, ``r`` lease given back, ``s`` stop asked for.

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

# Of many logs at once, since a script costs more to call than what most of them have to say. KEYS: those of each log,
# one log after the other. ARGV: lease ms, then of each log: epoch, time to live ms, sequence before the first entry,
# reset, number of notes, number of entries, then name and value of each note, then epoch, data and end of each entry.
# Without entries and notes it is the heartbeat. Answers what there is to say of each log; `refused` and why, where
# Redis takes nothing, e.g. because its memory is full: that is no matter of the other logs.
#
# Sent again after a lost answer it changes nothing, and neither does a reset that comes late, after what was sent
# behind it. When Redis knows less than the producer thinks (it came back from an older snapshot, or empty), the answer
# is `behind`, and the producer begins from the first entry with reset.
APPEND = (
    _NOW
    + """
local function append(key, at, notes, count)
  local entries_key, state_key, notes_key = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3]
  local state = redis.call('HMGET', state_key, 'epoch', 'seq', 'stop')
  local held, seq, stop = tonumber(state[1] or '0'), tonumber(state[2] or '0'), state[3] or ''
  local mine, ttl, base = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
  if held > mine then
    return {'fenced', held}
  end
  if ARGV[at + 3] == '1' then
    if held == mine and seq >= count and redis.call('XLEN', entries_key) == seq then
      return {'ok', seq, stop}
    end
    redis.call('DEL', entries_key)
    redis.call('HDEL', state_key, 'end')
    if held < mine then
      redis.call('HDEL', state_key, 'stop')
      stop = ''
    end
    seq = 0
  elseif held < mine or seq < base or (seq > 0 and redis.call('EXISTS', entries_key) == 0) then
    return {'behind', seq}
  end
  for i = 1, notes do
    redis.call('HSET', notes_key, ARGV[at + 4 + 2 * i], ARGV[at + 5 + 2 * i])
  end
  local first, ended = at + 6 + 2 * notes, ''
  for i = seq - base + 1, count do
    local entry = first + 3 * (i - 1)
    seq = base + i
    redis.call('XADD', entries_key, seq .. '-0', 'e', ARGV[entry], 'd', ARGV[entry + 1], 'x', ARGV[entry + 2])
    ended = ARGV[entry + 2]
  end
  if ended ~= '' then
    redis.call('HSET', state_key, 'epoch', mine, 'seq', seq, 'end', ended, 'lease', 0)
    redis.call('DEL', notes_key)
  elseif redis.call('HEXISTS', state_key, 'end') == 0 then
    redis.call('HSET', state_key, 'epoch', mine, 'seq', seq, 'lease', now() + ARGV[1])
  end
  if count == 0 or base == 0 or ended ~= '' then
    for i = 1, 3 do
      redis.call('PEXPIRE', KEYS[key + i], ttl)
    end
  end
  if count > 0 then
    redis.call('PUBLISH', state_key, 'n')
  end
  return {'ok', seq, stop}
end

local answers, at = {}, 2
for log = 1, #KEYS / 3 do
  local notes, count = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local done, answer = pcall(append, 3 * (log - 1), at, notes, count)
  if not done then
    answer = {'refused', type(answer) == 'table' and answer.err or tostring(answer)}
  end
  answers[log] = answer
  at = at + 6 + 2 * notes + 3 * count
end
return answers
"""
)

# ARGV: sequence of the first entry that is wanted; empty: none is.
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
