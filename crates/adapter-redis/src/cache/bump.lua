#!lua flags=allow-oom
-- Goes on when memory is full: an old copy that could not be ended would be shown.
-- A new generation KEYS[1], larger than any before, also than one that was lost: it never falls
-- behind the time. ARGV[1]: for how many seconds it is kept. Values name their generation, so
-- those from before are no values any more.
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local generation = math.max(last + 1, time[1] * 1000000 + time[2])
redis.call('SET', KEYS[1], string.format('%.0f', generation), 'EX', ARGV[1])
return redis.status_reply('OK')
