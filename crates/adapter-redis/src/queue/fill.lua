-- Puts users at the tail who only wait; the next step admits. From ARGV[6] on there is the user, the
-- token and the start of its digest in turn. Answers the last number; false, and nothing is done,
-- if one of the users has a place.
load_state()
for i = 6, #ARGV, 3 do
    if redis.call('HEXISTS', users_of(tonumber(ARGV[i])), ARGV[i]) == 1 then
        return false
    end
end
for i = 6, #ARGV, 3 do
    append_place(tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2])
end
save_state()
return state.sequence
