-- Where the token ARGV[2] with the number ARGV[1] stands; false if it is unknown. ARGV[3] is for
-- how long an ended token is remembered. If ARGV[5], the longest stay, is given, this counts as a
-- request: the first one lifts the claim deadline to that of the stay. ARGV[4] is who makes it: of
-- anybody but the owner it counts as nothing; 0 is whoever has the token.
local place = read_place(tonumber(ARGV[1]))
if not place or place.token ~= ARGV[2] then
    return false
end
-- The deadline of a late place that no step has dropped yet is when it ended.
local known_until = place.deadline
if place.status ~= 'E' then
    known_until = known_until + ARGV[3]
end
if known_until <= now then
    return false
end
local holder = tonumber(ARGV[4])
local own = holder == 0 or holder == place.user
if ARGV[5] and own and place.status == 'A' and is_live(place) then
    place.status = 'C'
    place.deadline = place.admitted_at + ARGV[5]
    write_place(place)
    write_places()
    redis.call('ZADD', ACTIVE, place.deadline, place.number)
end
load_state()
return { head(), describe(place) }
