-- Ends the place with the number ARGV[6] if the start of its digest is ARGV[7]; answers false
-- if there is no such place.
local place = read_place(tonumber(ARGV[6]))
if not place or place.tag ~= ARGV[7] then
    return false
end
if place.status ~= 'E' then
    load_state()
    end_place(place)
    admission_step()
    save_state()
end
return 1
