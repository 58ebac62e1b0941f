-- Forgets those places with the given numbers whose memory is over; answers how many. It looks
-- again, since a number may mean another place if everything was lost after due.lua named it.
local forgotten = 0
for _, number in ipairs(ARGV) do
    local until_when = redis.call('ZSCORE', ENDED, number)
    if until_when and tonumber(until_when) <= now then
        redis.call('ZREM', ENDED, number)
        redis.call('HDEL', block_of(number), number % PLACES_IN_BLOCK)
        forgotten = forgotten + 1
    end
end
return forgotten
