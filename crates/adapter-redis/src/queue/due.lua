-- Whose memory is over, at most ARGV[1]: their numbers and tokens in turn. Before them the last
-- number that was given out if the queue has no place at all, else false.
local sequence = false
if redis.call('EXISTS', ACTIVE, ENDED, COUNTS) == 0 then
    sequence = tonumber(redis.call('HGET', STATE, 'sequence') or 0)
end
local found = {}
for _, number in ipairs(redis.call('ZRANGE', ENDED, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    found[#found + 1] = { tonumber(number), read_place(tonumber(number)).token }
end
return { sequence, found }
