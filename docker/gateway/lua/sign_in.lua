-- Authentication: by name and password of the users file, or by an external provider.
local ffi = require "ffi"
local limits = require "limits"
local metrics = require "metrics"
local routes = require "routes"
local settings = require "settings"

local sign_in = {}

ffi.cdef "char *crypt_r(const char *phrase, const char *setting, void *data);"
local libcrypt = ffi.load("crypt.so.1")
local scratch = ffi.new("char[32768]")

-- Verified credentials are cached for a while, under an HMAC whose key exists only in this run of nginx: a hash takes a
-- tenth of a second to compute, and a browser sends the password with each request.
local REMEMBERED_SECONDS = 300
local random = io.open("/dev/urandom", "rb")
local secret = random:read(32)
random:close()

local function matches(password, hash)
    ffi.fill(scratch, 32768)
    local computed = libcrypt.crypt_r(password, hash, scratch)
    if computed == nil then return false end
    computed = ffi.string(computed)
    local different = #computed == #hash and 0 or 1
    for i = 1, math.min(#computed, #hash) do
        different = bit.bor(different, bit.bxor(computed:byte(i), hash:byte(i)))
    end
    return different == 0
end

-- An unknown name takes as long as a known one.
local decoy
for _, hash in pairs(settings.users or {}) do decoy = hash break end

local function ended(result)
    metrics.add("atlas_gateway_sign_ins_total", 1, result)
end

local function basic()
    local encoded = (ngx.var.http_authorization or ""):match("^[Bb][Aa][Ss][Ii][Cc] +([%w+/=]+)$")
    if not encoded then
        ended("missing")
        return nil, {status = 401, reason = "missing"}
    end
    local name, password = (ngx.decode_base64(encoded) or ""):match("^([^:]*):(.*)$")
    if not name or password:find("%z") or #password > 256 then
        ended("malformed")
        return nil, {status = 401, reason = "malformed"}
    end
    local key = ngx.hmac_sha1(secret, name .. ":" .. password)
    if ngx.shared.verified:get(key) then return name end

    local address = ngx.var.binary_remote_addr
    local rule, wait = limits.check(ngx.shared.sign_ins, address, settings.limits.sign_in)
    if rule then
        ended("limited")
        metrics.add("atlas_gateway_rate_limited_total", 1, "sign_in_" .. rule.label)
        return nil, {status = 429, reason = "sign_in_limit", retry_after = wait}
    end
    local hash = settings.users[name]
    if not matches(password, hash or decoy) or not hash then
        limits.take(ngx.shared.sign_ins, address, settings.limits.sign_in)
        local result = hash and "wrong_password" or "unknown_user"
        ended(result)
        return nil, {status = 401, reason = result}
    end
    ngx.shared.verified:set(key, true, REMEMBERED_SECONDS)
    ended("succeeded")
    return name
end

local function one(value)
    if type(value) == "table" then value = value[1] end
    return value ~= "" and value or nil
end

-- Response headers of Atlas's own convention, Authelia's (as Traefik's forward auth uses them) and oauth2-proxy's.
local function told(header)
    local user = one(header["X-Auth-User"]) or one(header["Remote-User"]) or one(header["X-Auth-Request-User"])
    local groups = one(header["Remote-Groups"]) or one(header["X-Auth-Request-Groups"]) or ""
    local operator = one(header["X-Auth-Role"]) == "operator"
    for group in groups:gmatch("[^,%s|]+") do operator = operator or group == settings.operator_group end
    return user, operator
end

local function forward()
    local url = settings.forward_auth
    local target = url.scheme .. "://" .. routes.address(url.host) .. ":" .. url.port .. url.path
    local answer = ngx.location.capture("/-/sign-in", {vars = {gw_ask = target, gw_ask_host = url.host}})
    if answer.header["Set-Cookie"] then ngx.header["Set-Cookie"] = answer.header["Set-Cookie"] end
    if answer.status >= 200 and answer.status < 300 then
        local user, operator = told(answer.header)
        if user and user:find("^[%w._@+-]+$") and #user <= 128 then
            ended("succeeded")
            return user, operator
        end
        ended("nameless")
        return nil, {status = 403, reason = "nameless"}
    elseif answer.status >= 500 or answer.status == 404 then
        ended("provider_away")
        metrics.add("atlas_gateway_upstream_failures_total", 1, "sign_in")
        return nil, {status = 503, reason = "provider_away"}
    end
    ended("refused")
    local sign_in_url = one(answer.header["Location"])
    if not sign_in_url and settings.sign_in_url then
        local back = "https://" .. (ngx.var.http_host or "") .. ngx.var.request_uri
        local mark = settings.sign_in_url:find("?", 1, true) and "&" or "?"
        sign_in_url = settings.sign_in_url .. mark .. "rd=" .. ngx.escape_uri(back)
    end
    local navigates = ngx.var.request_method == "GET" and (ngx.var.http_accept or ""):find("text/html", 1, true)
    if sign_in_url and navigates and answer.status ~= 403 then
        return nil, {redirect = sign_in_url, reason = "refused"}
    end
    return nil, {status = answer.status == 403 and 403 or 401, reason = "refused"}
end

-- The user's name and role; or nil and how to respond.
function sign_in.who()
    local user, more
    if settings.auth == "basic" then user, more = basic() else user, more = forward() end
    if not user then return nil, more end
    return user, (more == true or settings.operators[user]) and "operator" or "viewer"
end

return sign_in
