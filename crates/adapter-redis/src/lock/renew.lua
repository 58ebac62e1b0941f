-- Starts the lease of KEYS[1] anew for ARGV[2] milliseconds if ARGV[1] is its owner; tells whether.
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
