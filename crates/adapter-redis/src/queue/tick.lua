-- The admission step alone.
load_state()
local ticked = admission_step()
save_state()
return ticked
