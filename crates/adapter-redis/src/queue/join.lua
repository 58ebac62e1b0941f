-- The places of users: the live one, or a new one at the tail. From ARGV[10] on there is the user, the
-- token of a new place and the start of its digest in turn, in the order in which they came. Answers
-- whether anything but the tail has changed, the head, and for each user whether the place is new, its
-- number and where it stands; false for one whom the queue does not take.
load_state()
local changed, found = 0, {}
for i = 10, #ARGV, 3 do
    local user = tonumber(ARGV[i])
    local place
    local number = redis.call('HGET', users_of(user), user)
    if number then
        place = read_place(tonumber(number))
        -- The bounded step may not have come to a late one yet.
        if not is_live(place) then
            end_place(place)
            changed, place = 1, nil
        end
    end
    local first = not place
    if first and policy.mode ~= 'DRAIN' then
        place = append_place(user, ARGV[i + 1], ARGV[i + 2])
    end
    found[#found + 1] = place and { first and 1 or 0, place.number } or false
end

local stepped = admission_step()
save_state()
if stepped[1] + stepped[2] > 0 then
    changed = 1
end
for _, one in ipairs(found) do
    if one then
        -- Now: the step may have admitted it.
        one[3] = describe(read_place(one[2]))
    end
end
return { changed, head(), found }
