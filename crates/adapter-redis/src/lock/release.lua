-- Frees the name KEYS[1] if ARGV[1] is its owner. A lease that lapsed may be another owner's now.
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
return redis.status_reply('OK')
