-- The user's place: the live one, or a new one at the tail. ARGV[6] is the user, ARGV[7] the token
-- of a new place, ARGV[8] the start of its digest. Answers false if the queue takes nobody new.
load_state()
local user = tonumber(ARGV[6])

local place
local number = redis.call('HGET', users_of(user), user)
if number then
    place = read_place(tonumber(number))
    -- The bounded step may not have come to a late one yet.
    if not is_live(place) then
        end_place(place)
        place = nil
    end
end

local closed = not place and state.mode == 'DRAIN'
local first = not place and not closed
if first then
    place = append_place(user, ARGV[7], ARGV[8])
end

admission_step()
save_state()
if closed then
    return false
end
-- Read again: the step may have admitted it.
return { first and 1 or 0, place.number, describe(read_place(place.number)) }
