-- Where places stand. ARGV[1] is for how long an ended token is remembered. From ARGV[2] on there is
-- for each place its number, its token, who asks for it and the longest stay. If the stay is not 0, this
-- counts as a request: the first one lifts the claim deadline to that of the stay. Of anybody but the
-- owner it counts as nothing; 0 is whoever has the token. Answers the head and the places in their
-- order, false for one that is unknown.
load_state()
local remember = tonumber(ARGV[1])

local function visit(number, token, holder, stay)
    local place = read_place(number)
    if not place or place.token ~= token then
        return false
    end
    -- The deadline of a late place that no step has dropped yet is when it ended.
    local known_until = place.deadline
    if place.status ~= 'E' then
        known_until = known_until + remember
    end
    if known_until <= now then
        return false
    end
    local own = holder == 0 or holder == place.user
    if stay > 0 and own and place.status == 'A' and is_live(place) then
        place.status = 'C'
        place.deadline = place.admitted_at + stay
        write_place(place)
        redis.call('ZADD', ACTIVE, place.deadline, place.number)
    end
    return describe(place)
end

local found = {}
for i = 2, #ARGV, 4 do
    found[#found + 1] =
        visit(tonumber(ARGV[i]), ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]))
end
write_places()
return { head(), found }
