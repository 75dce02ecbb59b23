"""What happens in Redis: each operation is one Lua script, atomic and one round trip.

A log has three keys of one hash slot: its entries (a stream whose ids are ``<sequence>-0``, so that Redis itself
refuses a sequence that does not grow), its state (a hash: epoch, seq, end, lease, stop, followed, reset) and its notes
(a hash). The state's name is also the channel on which is told that something changed: ``n`` new entries, ``o`` opened
by another epoch, ``r`` lease given back, ``s`` stop asked for. New entries are told only while somebody follows, who
says so at each look (``followed``, until when): mostly nobody does.

Writers do not subscribe to their logs, which would be two commands for each: what concerns them is told on one
channel for all, `WRITERS`, since it is rare: ``o`` by an epoch that had one before it, ``s``, and ``f``, somebody
follows, each before the log's id. What a writer misses its next append tells it.

``lease`` is when the producer's lease ends, in milliseconds of the server's own clock.
"""

WRITERS = "gaji:log:writers"

_COMMON = f"""
local writers = '{WRITERS}'

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# ARGV: epoch, lease ms, time to live ms, mode, id. Answers the notes and entries that earlier epochs left. Modes:
# `restart`, the log begins anew if it has ended; `keep`, it stays as it is. (One that begins anew whatever there is
# needs no answer: its first append has reset.)
OPEN = (
    _COMMON
    + """
local held = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0')
local mine = tonumber(ARGV[1])
if held > mine then
  return {'fenced', held}
end
local ended = redis.call('HEXISTS', KEYS[2], 'end') == 1
if ARGV[4] == 'restart' and ended then
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
if mine > 1 then
  redis.call('PUBLISH', writers, 'o' .. ARGV[5])
end
return {'held', redis.call('HGETALL', KEYS[3]), redis.call('XRANGE', KEYS[1], '-', '+')}
"""
)

# Writes to many logs. ARGV: lease ms, time to live ms of a log that goes on and of one that has ended; then of each
# log its id, epoch, sequence before the first entry, mark of the reset (empty: none), the entries' epoch, how the log
# ends with the last of them, twice the number of notes, the number of entries, name and value of each note, and each
# entry. Without entries and notes it is the heartbeat. No key is declared, which only a cluster would need.
#
# Sent again after a lost answer it changes nothing, and neither does a reset that comes late, after what was sent
# behind it. When Redis knows less than the producer thinks (it came back from an older snapshot, or empty), the answer
# is `behind`, and the producer begins from the first entry with reset.
#
# Answers a word for each log; what goes wrong with one is `failed` and leaves the others alone. What goes wrong with
# all is the server's state: then it is an error, of which the client knows what it means (READONLY: another is master).
APPEND = (
    _COMMON
    + """
local time = now()
local lease = time + ARGV[1]

local function append(at, notes, count)
  local name = 'gaji:log:{' .. ARGV[at] .. '}:'
  local entries, state = name .. 'entries', name .. 'state'
  local known = redis.call('HMGET', state, 'epoch', 'seq', 'stop', 'followed', 'end')
  local held, seq, stop, over = tonumber(known[1] or '0'), tonumber(known[2] or '0'), known[3], known[5]
  local followed = known[4] and tonumber(known[4]) > time
  local mine, base = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if held > mine then
    return 'fenced'
  end
  local answer = 'ok' .. (stop and ' stop' or '') .. (followed and ' followed' or '')
  if ARGV[at + 3] ~= '' then
    local done = held == mine and redis.call('HGET', state, 'reset') == ARGV[at + 3]
    if not (done and seq >= count and redis.call('XLEN', entries) == seq) then
      redis.call('HSET', state, 'reset', ARGV[at + 3])
      redis.call('DEL', entries, name .. 'notes')
      redis.call('HDEL', state, 'end')
      redis.call('PUBLISH', state, 'o')
      if mine > 1 then
        redis.call('PUBLISH', writers, 'o' .. ARGV[at])
      end
      if held < mine then
        redis.call('HDEL', state, 'stop')
        answer = followed and 'ok followed' or 'ok'
      end
      seq, over = 0, false
    end
  elseif held < mine or seq < base then
    return 'behind'
  end
  local first = at + 8 + notes
  local added = seq
  for i = seq - base + 1, count do
    local id, event = base + i .. '-0', ARGV[first + i - 1]
    local last = i == count and ARGV[at + 5] or ''
    if seq == 0 then
      redis.call('XADD', entries, id, 'e', ARGV[at + 4], 'd', event, 'x', last)
    elseif not redis.call('XADD', entries, 'NOMKSTREAM', id, 'e', ARGV[at + 4], 'd', event, 'x', last) then
      return 'behind'
    end
    seq = base + i
  end
  if added == seq and seq > 0 and redis.call('EXISTS', entries) == 0 then
    return 'behind'
  end
  if notes > 0 and not over then
    redis.call('HSET', name .. 'notes', unpack(ARGV, at + 8, first - 1))
  end
  local ended = added < seq and ARGV[at + 5] ~= ''
  if ended then
    redis.call('HSET', state, 'epoch', mine, 'seq', seq, 'end', ARGV[at + 5], 'lease', 0)
    redis.call('DEL', name .. 'notes')
  elseif not over then
    redis.call('HSET', state, 'epoch', mine, 'seq', seq, 'lease', lease)
  end
  if count == 0 or base == 0 or ended then
    for _, key in ipairs({'entries', 'state', 'notes'}) do
      redis.call('PEXPIRE', name .. key, (ended or over) and ARGV[3] or ARGV[2])
    end
  end
  if count > 0 and (followed or ended) then
    redis.call('PUBLISH', state, 'n')
  end
  return answer
end

local answers, failed, why, at = {}, 0, '', 4
while at <= #ARGV do
  local notes, count = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local fine, answer = pcall(append, at, notes, count)
  if not fine then
    failed = failed + 1
    why = type(answer) == 'table' and answer.err or tostring(answer)
    answer = 'failed ' .. why
  end
  answers[#answers + 1] = answer
  at = at + 8 + notes + count
end
if failed == #answers then
  return redis.error_reply(why)
end
return answers
"""
)

# ARGV: sequence of the first entry that is wanted, id; empty: none is. Who wants some follows, and looks once a second.
# A server that takes no writes is read all the same.
READ = (
    _COMMON
    + """
local state = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'end', 'lease', 'stop', 'followed')
if not state[1] then
  return {}
end
local entries = {}
if ARGV[1] ~= '' then
  entries = redis.call('XRANGE', KEYS[1], ARGV[1] .. '-0', '+')
  if not state[3] then
    redis.pcall('HSET', KEYS[2], 'followed', now() + 5000)
    if tonumber(state[6] or '0') <= now() then
      redis.pcall('PUBLISH', writers, 'f' .. ARGV[2])
    end
  end
end
local left = (state[4] or 0) - now()
return {tonumber(state[1]), tonumber(state[2] or '0'), state[3] or '', left, state[5] or '', entries}
"""
)

# ARGV: id.
STOP = (
    _COMMON
    + """
if redis.call('HEXISTS', KEYS[2], 'epoch') == 1 and redis.call('HEXISTS', KEYS[2], 'end') == 0 then
  redis.call('HSET', KEYS[2], 'stop', '1')
  redis.call('PUBLISH', KEYS[2], 's')
  redis.call('PUBLISH', writers, 's' .. ARGV[1])
  return 1
end
return 0
"""
)

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
