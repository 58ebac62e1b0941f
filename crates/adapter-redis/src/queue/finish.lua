-- Ends the place with the number ARGV[10] if the start of its digest is ARGV[11]; answers false
-- if there is no such place.
local place = read_place(tonumber(ARGV[10]))
if not place or place.tag ~= ARGV[11] then
    return false
end
if place.status ~= 'E' then
    load_state()
    end_place(place)
    admission_step()
    save_state()
end
return 1
