-- The generation KEYS[1], made if it is missing. ARGV[1]: for how many seconds it is kept. A value
-- KEYS[2] that outlived its generation belongs to no generation any more.
local generation = redis.call('GET', KEYS[1])
if not generation then
    local time = redis.call('TIME')
    generation = string.format('%.0f', time[1] * 1000000 + time[2])
    redis.call('SET', KEYS[1], generation, 'EX', ARGV[1])
    redis.call('DEL', KEYS[2])
end
return generation
