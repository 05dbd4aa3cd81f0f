-- Decides on each request, in this order: is it well formed, is it same-site, who is the user, may they do this, are they
-- within their limits, what would it change; then selects the upstream.
local answers = require "answers"
local cjson = require "cjson.safe"
local changes = require "changes"
local limits = require "limits"
local metrics = require "metrics"
local record = require "record"
local routes = require "routes"
local settings = require "settings"
local sign_in = require "sign_in"

local gate = {}

local READS = {GET = true, HEAD = true, OPTIONS = true}

local function refused(status, reason)
    metrics.add("atlas_gateway_refused_total", 1, reason)
    return {status = status, reason = reason}
end

-- Whether a page of another site sent this, by headers that browsers set and other clients do not. A link to a page is fine.
local function cross_site(var, kind, websocket)
    if READS[var.request_method] and kind ~= "api" then return false end
    local site, origin = var.http_sec_fetch_site, var.http_origin
    if site and site ~= "same-origin" and site ~= "none" then return true end
    if not origin or (site and not websocket) then return false end
    return origin:lower() ~= "https://" .. (var.http_host or ""):lower()
end

-- A path that nginx and the upstream would interpret differently.
local function ambiguous(uri)
    local path = ngx.unescape_uri((uri:gsub("[?#].*", "")):gsub("+", "%%2B"))
    return path:find("//", 1, true) or path:find("%z") or path:find("\\", 1, true) or (path .. "/"):find("/%.%.?/")
end

local function send_to(upstream, uri)
    local place = settings.upstreams[upstream]
    ngx.var.gw_upstream = upstream
    ngx.var.gw_target = routes.address(place.host) .. ":" .. place.port
    if uri then ngx.var.gw_uri = uri end
end

local function decide()
    local var = ngx.var
    local route, kind = routes.of(var.uri)
    local method, websocket = var.request_method, var.http_upgrade ~= nil
    gate.open(route, websocket)
    if ambiguous(var.request_uri) then return refused(400, "path") end
    if cross_site(var, kind, websocket) then return refused(403, "cross_site") end

    local user, role = sign_in.who()
    if not user then return role end
    var.gw_user, var.gw_role = user, role

    if kind == "api" then
        local name = var.http_sec_fetch_site == "same-origin" and "ui" or "api"
        local rule, wait = limits.take(ngx.shared.limits, name .. ":" .. user, settings.limits[name])
        if rule then
            metrics.add("atlas_gateway_rate_limited_total", 1, name .. "_" .. rule.label)
            return {status = 429, reason = name .. "_limit", retry_after = wait}
        end
    end

    if route == "/ops" then
        if role ~= "operator" then return refused(403, "operators_only") end
        if method ~= "GET" and method ~= "HEAD" then return refused(405, "read_only") end
        send_to("ops", var.request_uri:gsub("^/ops/?", "/"))
        return {}
    end
    if websocket then
        -- Frames are not inspected: every WebSocket goes to the read-only web server, and subscriptions only read.
        if route ~= "/graphql" or method ~= "GET" then return refused(400, "websocket") end
        send_to("viewer")
        return {location = "@websocket"}
    end
    local change
    if route == "/graphql" then
        change = changes.of_graphql(method)
        if change and READS[method] then return refused(405, "get_mutation") end
    elseif route == "/report_asset" then
        change = changes.of_report(var.uri)
    elseif not READS[method] then
        return refused(405, "read_only")
    end
    if change then
        var.gw_change = cjson.encode(change)
        ngx.ctx.change = {}
    end
    if role ~= "operator" and (route == "/report_asset" or route == "/download_debug" or route == "/notebook") then
        return refused(403, "operators_only")
    end
    send_to(role)
    return {}
end

-- Counts a request when it starts.
function gate.open(route, websocket)
    ngx.var.gw_route = route:find("^/") and route or "/" .. route
    if not websocket then
        metrics.add("atlas_http_requests_in_progress", 1)
        ngx.var.gw_counted = "yes"
    end
end

function gate.enter()
    local verdict, failed = record.guarded(decide)
    if failed then return ngx.exit(500) end
    if verdict.reason then ngx.var.gw_reason = verdict.reason end
    if verdict.retry_after then ngx.var.gw_retry_after = verdict.retry_after end
    if verdict.redirect then return ngx.redirect(verdict.redirect, 302) end
    if verdict.status == 400 then
        -- nginx's own error page for 400 would lose the variables of the request.
        ngx.req.discard_body()
        ngx.status = 400
        record.guarded(answers.problem)
        return ngx.exit(400)
    end
    if verdict.status then return ngx.exit(verdict.status) end
    if verdict.location then return ngx.exec(verdict.location) end
end

return gate
