-- The admission step, which ends every transition: drops what is past its deadline, then admits
-- from the head while there is room, the mode is not HOLD and the rate allows.
--
-- ARGV[1] to ARGV[5] are the service's rules, ARGV[6] to ARGV[9] the concert's policy as the caller
-- knows it, with its version; what a script takes itself comes after them.

local rules = {
    active_limit = tonumber(ARGV[1]),
    claim_ttl = tonumber(ARGV[2]),
    active_ttl = tonumber(ARGV[3]),
    waiting_ttl = tonumber(ARGV[4]),
    remember_ttl = tonumber(ARGV[5]),
}

-- The newest policy that any transition was told, kept as "version:mode:limit:rate"; 0 is the
-- service's default.
local function newest_policy()
    local known = redis.call('HGET', STATE, 'policy')
    local told = tonumber(ARGV[6])
    if told > tonumber(known and string.match(known, '^%d+') or 0) then
        known = table.concat({ ARGV[6], ARGV[7], ARGV[8], ARGV[9] }, ':')
        redis.call('HSET', STATE, 'policy', known)
    end
    local mode, limit, rate = string.match(known or '0:OPEN:0:0', '^%d+:(%a+):(%d+):(%d+)$')
    return { mode = mode, active_limit = tonumber(limit), per_second = tonumber(rate) }
end

local policy = newest_policy()

-- How many places of a kind one step looks at, so that no step keeps the server for long.
local BATCH = 1000

-- A new place at the tail.
local function append_place(user, token, tag)
    state.sequence = state.sequence + 1
    local place = {
        number = state.sequence, token = token, tag = tag, user = user,
        deadline = now + rules.waiting_ttl, admitted_at = 0, status = 'W',
    }
    write_place(place)
    redis.call('HSET', users_of(user), user, place.number)
    enter_line(place.number)
    return place
end

-- Ends a place that is not ended: now, or when its deadline passed.
local function end_place(place)
    if place.status == 'W' then
        leave_line(place.number)
    else
        redis.call('ZREM', ACTIVE, place.number)
    end
    redis.call('HDEL', users_of(place.user), place.user)
    place.status = 'E'
    place.deadline = math.min(place.deadline, now) + rules.remember_ttl
    write_place(place)
    redis.call('ZADD', ENDED, place.deadline, place.number)
end

local function admit(place)
    leave_line(place.number)
    place.status = 'A'
    place.admitted_at = now
    place.deadline = now + math.min(rules.claim_ttl, rules.active_ttl)
    write_place(place)
    redis.call('ZADD', ACTIVE, place.deadline, place.number)
end

-- The rate, in microseconds: an admission uses up 1 / rate of a second, and rate_at is the instant
-- up to which time has been used up. Time that nobody used is kept for one second.
local function rate_start()
    return math.max(state.rate_at, now * 1000 - 1000000)
end

local function room()
    if policy.mode == 'HOLD' then
        return 0
    end
    local limit = policy.active_limit > 0 and policy.active_limit or rules.active_limit
    local free = limit - redis.call('ZCARD', ACTIVE)
    if policy.per_second > 0 then
        local unused = math.max(0, now * 1000 - rate_start())
        free = math.min(free, math.floor(unused * policy.per_second / 1000000))
    end
    return free
end

local function count_admitted(admitted)
    state.admitted = state.admitted + admitted
    state.pace = pace() + admitted / 60
    state.pace_at = math.max(now, state.pace_at)
    if policy.per_second > 0 then
        state.rate_at = rate_start() + math.ceil(admitted * 1000000 / policy.per_second)
    end
end

local function drop_active()
    local late = redis.call('ZRANGE', ACTIVE, '-inf', now, 'BYSCORE', 'LIMIT', 0, BATCH)
    for _, number in ipairs(late) do
        end_place(read_place(tonumber(number)))
    end
    return #late
end

-- Takes the waiting from the head on, dropping who is late. Deadlines of the waiting are in the
-- order of their numbers unless the rule was changed meanwhile; then somebody in the middle is
-- dropped when the head comes there, which counts as ended all the same.
local function admission_step()
    local dropped = drop_active()
    local more = dropped == BATCH
    local space, admitted, seen = room(), 0, 0
    state.head = next_waiting(state.head) or state.sequence + 1
    while state.head <= state.sequence and seen < BATCH do
        local place = read_place(state.head)
        if place.deadline <= now then
            end_place(place)
            dropped = dropped + 1
        elseif admitted < space then
            admit(place)
            admitted = admitted + 1
        else
            break
        end
        seen = seen + 1
        state.head = next_waiting(state.head + 1) or state.sequence + 1
    end
    if admitted > 0 then
        count_admitted(admitted)
    end
    return { admitted, dropped, (more or seen == BATCH) and 1 or 0 }
end
