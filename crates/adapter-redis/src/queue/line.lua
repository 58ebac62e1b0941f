-- Who waits among the 65,536 numbers of the chunk ARGV[1], and how many wait in front of them.
load_state()
local chunk = tonumber(ARGV[1])
return { head(), ahead_of(chunk), redis.call('GET', bits_of(chunk)) or '' }
