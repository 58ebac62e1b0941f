-- What all scripts of a queue share: the state of one concert's queue and its places.
--
-- KEYS[1] is the state. Every other key of the queue is that name and a suffix, so that all of
-- them lie in the slot of the same hash tag (see queue.rs for the layout). Instants and durations
-- are milliseconds.

local STATE = KEYS[1]
local ACTIVE = STATE .. ':active'
local ENDED = STATE .. ':ended'
local COUNTS = STATE .. ':counts'

local PLACES_IN_BLOCK = 64
local PLACES_IN_CHUNK = 65536
-- A prime, so that no pattern in the numbers of users fills one bucket more than the others.
local USER_BUCKETS = 16381

-- The secret, the start of its digest, the user, the deadline, the admission and the status:
-- W waiting, A admitted, C admitted and has made a request, E ended. The deadline of an ended
-- place is that of its memory.
local LAYOUT = '>c16c8I7I6I6c1'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local state = {}
-- What the script has read or written, by number; what is not written yet; and by chunk, who has
-- come into the line and is not noted yet. A call costs more than what it does.
local places, unwritten, entered = {}, {}, {}

local function load_state()
    local names = { 'sequence', 'waiting', 'head', 'admitted', 'pace', 'pace_at', 'rate_at', 'born' }
    for i, value in ipairs(redis.call('HMGET', STATE, unpack(names))) do
        state[names[i]] = tonumber(value or 0)
    end
end

local function block_of(number)
    return STATE .. ':p:' .. math.floor(number / PLACES_IN_BLOCK)
end

local function bits_of(chunk)
    return STATE .. ':w:' .. chunk
end

-- One command for each block, which has few enough places for one.
local function write_places()
    local blocks = {}
    for number, place in pairs(unwritten) do
        local block = block_of(number)
        local fields = blocks[block] or {}
        fields[#fields + 1] = number % PLACES_IN_BLOCK
        fields[#fields + 1] = struct.pack(LAYOUT, place.token, place.tag, place.user,
            place.deadline, place.admitted_at, place.status)
        blocks[block] = fields
    end
    for block, fields in pairs(blocks) do
        redis.call('HSET', block, unpack(fields))
    end
    unwritten = {}
end

-- To be called before the line is read, or somebody leaves it.
local function note_entered()
    for chunk, offsets in pairs(entered) do
        for first = 1, #offsets, 1000 do
            local bits = {}
            for i = first, math.min(first + 999, #offsets) do
                bits[#bits + 1] = 'SET'
                bits[#bits + 1] = 'u1'
                bits[#bits + 1] = offsets[i]
                bits[#bits + 1] = 1
            end
            redis.call('BITFIELD', bits_of(chunk), unpack(bits))
        end
        redis.call('HINCRBY', COUNTS, chunk, #offsets)
    end
    entered = {}
end

-- A queue that begins anew, because everything was lost, gives out numbers that it gave out before.
-- Its birth in microseconds tells them apart.
local function save_state()
    write_places()
    note_entered()
    if state.born == 0 then
        state.born = time[1] * 1000000 + time[2]
        redis.call('HSET', STATE, 'born', string.format('%.0f', state.born))
    end
    redis.call('HSET', STATE, 'sequence', state.sequence, 'waiting', state.waiting,
        'head', state.head, 'admitted', state.admitted, 'pace', state.pace,
        'pace_at', state.pace_at, 'rate_at', state.rate_at)
end

local function users_of(user)
    return STATE .. ':u:' .. user % USER_BUCKETS
end

local function read_place(number)
    local place = places[number]
    if place then
        return place
    end
    local packed = redis.call('HGET', block_of(number), number % PLACES_IN_BLOCK)
    if not packed then
        return nil
    end
    place = { number = number }
    place.token, place.tag, place.user, place.deadline, place.admitted_at, place.status =
        struct.unpack(LAYOUT, packed)
    places[number] = place
    return place
end

-- Lasts from the next write_places on, which save_state calls.
local function write_place(place)
    places[place.number], unwritten[place.number] = place, place
end

local function is_live(place)
    return place.status ~= 'E' and place.deadline > now
end

local function enter_line(number)
    local chunk = math.floor(number / PLACES_IN_CHUNK)
    local offsets = entered[chunk] or {}
    offsets[#offsets + 1] = number % PLACES_IN_CHUNK
    entered[chunk] = offsets
    state.waiting = state.waiting + 1
end

local function leave_line(number)
    note_entered()
    local chunk = math.floor(number / PLACES_IN_CHUNK)
    redis.call('SETBIT', bits_of(chunk), number % PLACES_IN_CHUNK, 0)
    if redis.call('HINCRBY', COUNTS, chunk, -1) == 0 then
        redis.call('HDEL', COUNTS, chunk)
        redis.call('DEL', bits_of(chunk))
    end
    state.waiting = state.waiting - 1
end

-- The first number from the given one on that waits.
local function next_waiting(from)
    note_entered()
    local last = math.floor(state.sequence / PLACES_IN_CHUNK)
    for chunk = math.floor(from / PLACES_IN_CHUNK), last do
        local offset = math.max(0, from - chunk * PLACES_IN_CHUNK)
        local found = redis.call('BITPOS', bits_of(chunk), 1, offset, -1, 'BIT')
        if found >= 0 then
            return chunk * PLACES_IN_CHUNK + found
        end
    end
    return nil
end

-- How many wait in front of all numbers of a chunk. Nobody waits before the head.
local function ahead_of(own)
    note_entered()
    local before, ahead = {}, 0
    for chunk = math.floor(state.head / PLACES_IN_CHUNK), own - 1 do
        before[#before + 1] = chunk
    end
    if #before > 0 then
        for _, count in ipairs(redis.call('HMGET', COUNTS, unpack(before))) do
            ahead = ahead + tonumber(count or 0)
        end
    end
    return ahead
end

-- Ranks that were counted, by number: whoever waits right behind is one further.
local ranks = {}

-- How many wait up to the number, who waits, and at it. Nothing of the line may change after it.
local function rank_of(number)
    local own = math.floor(number / PLACES_IN_CHUNK)
    local before = ranks[number - 1]
    ranks[number] = before and before + 1 or ahead_of(own)
        + redis.call('BITCOUNT', bits_of(own), 0, number % PLACES_IN_CHUNK, 'BIT')
    return ranks[number]
end

-- The average of admissions a second, which fades while nobody is admitted.
local function pace()
    return state.pace * math.exp(math.min(0, state.pace_at - now) / 60000)
end

-- What every answer about places begins with, as the adapter reads it; see reply.rs.
local function head()
    return { state.born, now, string.format('%.17g', pace()) }
end

-- The place as the adapter reads it; see reply.rs.
local function describe(place)
    local status, rank = place.status, 0
    if not is_live(place) then
        status = 'E'
    elseif status == 'W' then
        rank = rank_of(place.number)
    end
    return { place.token, place.user, status, rank, place.deadline }
end
