-- Who waits among the 65,536 numbers of the chunk ARGV[1], and how many wait in front of them.
-- `rank_of` of the number before the chunk would be the same, if that one was there.
load_state()
local chunk, ahead = tonumber(ARGV[1]), 0
local before = {}
for other = math.floor(state.head / PLACES_IN_CHUNK), chunk - 1 do
    before[#before + 1] = other
end
if #before > 0 then
    for _, count in ipairs(redis.call('HMGET', COUNTS, unpack(before))) do
        ahead = ahead + tonumber(count or 0)
    end
end
return { state.born, now, string.format('%.17g', pace()), ahead,
    redis.call('GET', bits_of(chunk)) or '' }
