-- Records requests: a line of JSON on standard output for each (access), one more for each change (audit), and metrics.
local cjson = require "cjson.safe"
local ffi = require "ffi"
local metrics = require "metrics"

local record = {}

ffi.cdef "long write(int fd, const void *text, size_t size);"

local METHODS = {GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, OPTIONS = true, PATCH = true}

-- One write for each line, so that lines of different workers do not interleave.
function record.line(fields)
    local now = ngx.now()
    fields.time = os.date("!%Y-%m-%dT%H:%M:%S", now) .. string.format(".%03dZ", (now % 1) * 1000)
    local text = cjson.encode(fields) .. "\n"
    ffi.C.write(1, text, #text)
end

-- Logs an error of the gateway's own code; the client gets 500.
function record.failure(problem)
    metrics.add("atlas_gateway_errors_total", 1)
    record.line({log = "error", message = problem, request_id = ngx.var.request_id})
end

-- Calls a function; logs an error that it raises, and then returns nil and true.
function record.guarded(action)
    local fine, result = xpcall(action, debug.traceback)
    if fine then return result end
    record.failure(result)
    return nil, true
end

-- Whether Dagster refused a change, by the body of its response, since the status is 200.
function record.answer()
    local change = ngx.ctx.change
    if not change or change.unauthorized then return end
    local seen = (change.tail or "") .. (ngx.arg[1] or "")
    change.tail = seen:sub(-32)
    if seen:find('"UnauthorizedError"', 1, true) or seen:find("GrapheneUnauthorizedError", 1, true) then
        change.unauthorized = true
        ngx.var.gw_refused = "unauthorized"
    end
end

local function number(text)
    return tonumber((tostring(text or ""):match("[%d.]+$")))
end

local function filled(text)
    if text ~= nil and text ~= "" and text ~= "-" then return text end
end

-- The mutations that a read-only web server accepts: they record what its UI has shown.
local HARMLESS = {setNuxSeen = true, logTelemetry = true}

local function harmless(change)
    for _, mutation in ipairs(change.mutations or {}) do
        if not HARMLESS[mutation] then return false end
    end
    return true
end

local function audit(var, status)
    local change = cjson.decode(var.gw_change) or {}
    local outcome = "accepted"
    if var.gw_refused ~= "" or (var.gw_role == "viewer" and status < 500 and not harmless(change)) then
        outcome = "refused"
    elseif status >= 500 then
        outcome = "failed"
    elseif status >= 400 or status < 200 then
        outcome = "refused"
    end
    metrics.add("atlas_gateway_mutations_total", 1, var.gw_role, outcome)
    change.log, change.request_id, change.client = "audit", var.request_id, var.remote_addr
    change.user, change.role, change.method = var.gw_user, var.gw_role, var.request_method
    change.status, change.outcome = status, outcome
    record.line(change)
end

-- Called at the end of every request, whatever its outcome.
function record.request()
    local var = ngx.var
    local status, route = ngx.status, filled(var.gw_route) or "/"
    local method = METHODS[var.request_method] and var.request_method or "other"
    local websocket = var.gw_websocket == "open"
    if var.gw_counted == "yes" then metrics.add("atlas_http_requests_in_progress", -1) end
    if websocket then metrics.add("atlas_gateway_websockets_open", -1) end
    metrics.add("atlas_http_requests_total", 1, method, route, status)
    if not websocket then
        metrics.observe("atlas_http_request_duration_seconds", tonumber(var.request_time), method, route)
    end
    metrics.add("atlas_gateway_request_bytes_total", tonumber(var.request_length) or 0, route)
    metrics.add("atlas_gateway_response_bytes_total", tonumber(var.bytes_sent) or 0, route)
    if filled(var.gw_change) then audit(var, status) end
    record.line({
        log = "access", request_id = var.request_id, client = var.remote_addr, user = filled(var.gw_user),
        role = filled(var.gw_role), method = var.request_method,
        path = (var.request_uri or ""):gsub("%?.*", ""):sub(1, 512), status = status, bytes = tonumber(var.bytes_sent),
        seconds = tonumber(var.request_time), upstream = filled(var.gw_upstream),
        upstream_seconds = number(var.upstream_response_time), reason = filled(var.gw_reason),
    })
end

return record
