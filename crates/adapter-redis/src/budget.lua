-- Takes units from a bucket, or answers for how many microseconds to wait. What is kept is the
-- instant at which the bucket will be full again (the generic cell rate algorithm).
-- KEYS: the bucket. ARGV: units, microseconds that one unit takes to come back, burst.
local units, refill, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + units * refill
local wait = full - burst * refill - now
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return 0
