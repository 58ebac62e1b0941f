-- Takes the concert ARGV[1] out of the index KEYS[1] if nobody joined it after the number ARGV[2].
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0) <= tonumber(ARGV[2]) then
    redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.status_reply('OK')
