-- The settings: environment, users file, operators file. Read when nginx starts and at each reload; an error fails the
-- start, and a reload that fails leaves the running settings in place.
local settings = {}

local function refuse(...)
    error("gateway: " .. string.format(...), 0)
end

local function lines(path)
    local file = io.open(path)
    if not file then return nil end
    local found = {}
    for line in (file:read("*a") .. "\n"):gmatch("(.-)\r?\n") do found[#found + 1] = line end
    file:close()
    return found
end

local function meant(line)
    return line:find("%S") and not line:find("^%s*#")
end

-- "60/60,1000/3600" allows 60 requests in any 60 seconds and 1000 in any 3600.
local function limits(name)
    local found = {}
    for part in (os.getenv(name) or ""):gmatch("[^,]+") do
        local count, seconds = part:match("^%s*(%d+)/(%d+)%s*$")
        count, seconds = tonumber(count), tonumber(seconds)
        if not count or count < 1 or count > 100000 or seconds < 1 or seconds > 86400 then
            refuse("%s has '%s', expected requests/seconds such as 60/60", name, part)
        end
        local label = seconds == 60 and "minute" or seconds == 3600 and "hour" or seconds .. "s"
        found[#found + 1] = {count = count, seconds = seconds, label = label}
    end
    if #found == 0 then refuse("%s is empty, expected requests/seconds such as 60/60", name) end
    return found
end

local function upstream(name)
    local host, port = (os.getenv(name) or ""):match("^([%w._-]+):(%d+)$")
    if not host then refuse("%s is '%s', expected host:port", name, os.getenv(name) or "") end
    return {host = host, port = port}
end

-- Whether it is a hash for crypt(3), of a slow method.
local function strong(hash)
    local scheme = hash:match("^%$(%w+)%$")
    return scheme and #hash > 40 and ({["2a"] = 1, ["2b"] = 1, ["2y"] = 1, ["5"] = 1, ["6"] = 1, y = 1, gy = 1, ["7"] = 1})[scheme]
end

local function users(path)
    local found, count = {}, 0
    local content = lines(path)
    if not content then
        refuse("the users file %s is missing or not readable: make a line for each user with `gateway user NAME`", path)
    end
    for number, line in ipairs(content) do
        if line:find("<CHANGE_ME", 1, true) then
            refuse("%s line %d is still the placeholder of the example: put in what `gateway user NAME` prints", path, number)
        elseif meant(line) then
            local name, hash = line:match("^([^:%s]+):(%S+)%s*$")
            if not name then refuse("%s line %d is not name:hash", path, number) end
            if not strong(hash) then
                refuse("%s line %d (%s) has no bcrypt, yescrypt or SHA-crypt hash but plain text or a weak one: "
                    .. "put in what `gateway user NAME` prints", path, number, name)
            end
            if found[name] then refuse("%s line %d has %s a second time", path, number, name) end
            found[name], count = hash, count + 1
        end
    end
    if count == 0 then refuse("the users file %s is empty: make a line for each user with `gateway user NAME`", path) end
    return found
end

local function operators(path)
    local found = {}
    for number, line in ipairs(lines(path) or {}) do
        if line:find("<CHANGE_ME", 1, true) then
            refuse("%s line %d is still the placeholder of the example: put in a name, or take the line out", path, number)
        elseif meant(line) then
            found[line:match("^%s*(.-)%s*$")] = true
        end
    end
    return found
end

local function forward_auth(url)
    local scheme, host, port, path = (url or ""):match("^(https?)://([%w._-]+):?(%d*)(/?%S*)$")
    if not scheme then
        refuse("GATEWAY_FORWARD_AUTH_URL is '%s', expected a URL such as http://auth:9091/api/authz/auth-request", url or "")
    end
    if port == "" then port = scheme == "https" and "443" or "80" end
    return {scheme = scheme, host = host, port = port, path = path == "" and "/" or path}
end

settings.auth = os.getenv("GATEWAY_AUTH")
if settings.auth == "basic" then
    settings.users = users(os.getenv("GATEWAY_USERS_FILE"))
elseif settings.auth == "forward" then
    settings.forward_auth = forward_auth(os.getenv("GATEWAY_FORWARD_AUTH_URL"))
    settings.sign_in_url = os.getenv("GATEWAY_SIGN_IN_URL")
    if settings.sign_in_url == "" then settings.sign_in_url = nil end
    settings.operator_group = os.getenv("GATEWAY_OPERATOR_GROUP")
else
    refuse("GATEWAY_AUTH is '%s', expected basic or forward", settings.auth or "")
end
settings.operators = operators(os.getenv("GATEWAY_OPERATORS_FILE"))
settings.upstreams = {
    operator = upstream("GATEWAY_OPERATOR"),
    viewer = upstream("GATEWAY_VIEWER"),
    ops = upstream("GATEWAY_OPS"),
}
settings.limits = {
    api = limits("GATEWAY_API_LIMITS"),
    ui = limits("GATEWAY_UI_LIMITS"),
    sign_in = limits("GATEWAY_SIGN_IN_LIMITS"),
}

return settings
