-- Stores the value ARGV[2] under KEYS[2] for ARGV[3] milliseconds while the generation KEYS[1] is
-- still ARGV[1]. Whoever waits for this read of the store (KEYS[3]) waits no more.
redis.call('DEL', KEYS[3])
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
