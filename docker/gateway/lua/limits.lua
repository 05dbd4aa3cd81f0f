-- Exact limits: of each client the times of its requests are kept, and a request counts for as long as the window is.
-- What was refused does not count.
local ffi = require "ffi"

local limits = {}

local LOCK_SECONDS = 0.1

-- Two workers count for the same client: what is between these two lines is done by one of them at a time. It takes
-- microseconds, and a worker that dies in it gives the lock back after LOCK_SECONDS.
local function locked(dict, key, action)
    local lock = "lock:" .. key
    local give_up = os.clock() + 2 * LOCK_SECONDS
    while not dict:add(lock, true, LOCK_SECONDS) and os.clock() < give_up do end
    local one, two = action()
    dict:delete(lock)
    return one, two
end

local function times(dict, key, longest, now)
    local packed = dict:get(key) or ""
    local count = #packed / 8
    local stamps = ffi.new("double[?]", count + 1)
    ffi.copy(stamps, packed, #packed)
    local first = 0
    while first < count and stamps[first] <= now - longest do first = first + 1 end
    return stamps, first, count
end

local function longest(rules)
    local seconds = 0
    for _, rule in ipairs(rules) do seconds = math.max(seconds, rule.seconds) end
    return seconds
end

-- The rule that is used up, and in how many seconds the next request may come; nil when one may come now.
local function used_up(stamps, first, count, rules, now)
    local worst, wait
    for _, rule in ipairs(rules) do
        if count - first >= rule.count then
            local free = stamps[count - rule.count] + rule.seconds - now
            if free > 0 and (not wait or free > wait) then worst, wait = rule, free end
        end
    end
    return worst, wait and math.max(1, math.ceil(wait))
end

-- Whether the key may go on, without counting.
function limits.check(dict, key, rules)
    ngx.update_time()
    local now = ngx.now()
    local stamps, first, count = times(dict, key, longest(rules), now)
    return used_up(stamps, first, count, rules, now)
end

-- Counts one for the key, unless a rule is used up: then that rule and the seconds until it is not.
function limits.take(dict, key, rules)
    return locked(dict, key, function()
        ngx.update_time()
        local now, window = ngx.now(), longest(rules)
        local stamps, first, count = times(dict, key, window, now)
        local rule, wait = used_up(stamps, first, count, rules, now)
        if rule then return rule, wait end
        stamps[count] = now
        dict:set(key, ffi.string(stamps + first, (count - first + 1) * 8), window)
    end)
end

return limits
