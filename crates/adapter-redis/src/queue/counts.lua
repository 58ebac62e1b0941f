-- The counts. Who is past the deadline does not count, dropped or not; of those
-- waiting, so many are looked at as ARGV[1] says, and the rest is counted out as steps drop it.
load_state()
local late, number = 0, next_waiting(state.head)
while number and late < tonumber(ARGV[1]) and not is_live(read_place(number)) do
    late = late + 1
    number = next_waiting(number + 1)
end
local active = redis.call('ZCOUNT', ACTIVE, '(' .. string.format('%.0f', now), '+inf')
return { state.waiting - late, active, state.admitted }
