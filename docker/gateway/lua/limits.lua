-- Exact rate limits, by a sliding window log: the times of each client's requests are kept, and a request counts for the
-- length of the window. Refused requests do not count.
local ffi = require "ffi"

local limits = {}

local LOCK_SECONDS = 0.1

-- Workers share the counts, so a lock guards each update. It is held for microseconds; that of a worker that dies expires
-- after LOCK_SECONDS.
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

-- The exhausted rule, and the seconds until the next request is allowed; nil when one is allowed now.
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

-- Whether the key is within its limits, without counting a request.
function limits.check(dict, key, rules)
    ngx.update_time()
    local now = ngx.now()
    local stamps, first, count = times(dict, key, longest(rules), now)
    return used_up(stamps, first, count, rules, now)
end

-- Counts a request of the key, unless a rule is exhausted: then returns that rule and the seconds until it is not.
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
