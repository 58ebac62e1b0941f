-- Puts users without a live place at the tail, who only wait; the next step admits. From ARGV[10] on
-- there is the user, the token and the start of its digest in turn. Answers the numbers of their
-- places in the same order, below zero for one that was there already.
load_state()
local numbers = {}
for i = 10, #ARGV, 3 do
    local user = tonumber(ARGV[i])
    local known = redis.call('HGET', users_of(user), ARGV[i])
    if known then
        numbers[#numbers + 1] = -tonumber(known)
    else
        numbers[#numbers + 1] = append_place(user, ARGV[i + 1], ARGV[i + 2]).number
    end
end
save_state()
return numbers
