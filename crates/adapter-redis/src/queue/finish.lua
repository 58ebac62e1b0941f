-- Ends places: from ARGV[10] on there is a number and the start of the digest that fits in turn.
-- Answers for each whether there is such a place.
load_state()
local found, ended = {}, false
for i = 10, #ARGV, 2 do
    local place = read_place(tonumber(ARGV[i]))
    local fits = place and place.tag == ARGV[i + 1]
    if fits and place.status ~= 'E' then
        end_place(place)
        ended = true
    end
    found[#found + 1] = fits and 1 or 0
end
if ended then
    admission_step()
    save_state()
end
return found
