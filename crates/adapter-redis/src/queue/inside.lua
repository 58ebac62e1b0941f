-- Who is admitted and until when, by number; nobody if there are more than ARGV[1].
load_state()
local most = tonumber(ARGV[1])
local inside = redis.call('ZRANGE', ACTIVE, '(' .. string.format('%.0f', now), '+inf', 'BYSCORE',
    'LIMIT', 0, most + 1, 'WITHSCORES')
if #inside > 2 * most then
    inside = {}
end
local numbers = {}
for i, word in ipairs(inside) do
    numbers[i] = tonumber(word)
end
return { head(), numbers }
