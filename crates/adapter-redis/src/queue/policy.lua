-- Changes the policy: ARGV[6] is the mode, ARGV[7] the limit and ARGV[8] the admissions a second;
-- what is empty stays, and 0 goes back to the service's default. Answers the new policy.
local names = { 'mode', 'active_limit', 'per_second' }
for i, name in ipairs(names) do
    if ARGV[5 + i] ~= '' then
        redis.call('HSET', STATE, name, ARGV[5 + i])
    end
end
load_state()
admission_step()
save_state()
return { state.mode, state.active_limit, state.per_second }
