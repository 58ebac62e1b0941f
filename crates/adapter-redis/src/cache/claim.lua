#!lua flags=allow-oom
-- Goes on when memory is full: what it writes is small, and a miss is no failure.
-- The generation KEYS[1], made if it is missing and kept for ARGV[1] seconds, and whether the
-- caller ARGV[2] is to read the store: one at a time, which KEYS[2] says for ARGV[3] milliseconds.
local generation = redis.call('GET', KEYS[1])
if not generation then
    local time = redis.call('TIME')
    generation = string.format('%.0f', time[1] * 1000000 + time[2])
    redis.call('SET', KEYS[1], generation, 'EX', ARGV[1])
end
local reader = redis.call('SET', KEYS[2], ARGV[2], 'NX', 'GET', 'PX', ARGV[3])
return { generation, (not reader or reader == ARGV[2]) and 1 or 0 }
