-- The gateway's own responses: errors, as short text or JSON, and the health of the platform.
local cjson = require "cjson.safe"
local metrics = require "metrics"
local routes = require "routes"
local settings = require "settings"

local answers = {}

local TEXT = {
    [400] = "This request is malformed.",
    [401] = "Sign in first.",
    [403] = "You may not do this.",
    [404] = "There is nothing here.",
    [405] = "This method is not allowed here.",
    [408] = "The request took too long to arrive.",
    [411] = "The request does not say how long it is.",
    [413] = "The request is too large.",
    [414] = "The address is too long.",
    [429] = "Too many requests: try again later.",
    [500] = "The gateway failed.",
    [502] = "The platform cannot be reached: try again in a few seconds.",
    [503] = "This is not available now: try again in a few seconds.",
    [504] = "The platform took too long to answer.",
}
local WHY = {
    cross_site = "The request comes from a page of another site.",
    operators_only = "This is for operators.",
    get_mutation = "Changes are made by POST.",
    read_only = "This is read only.",
    path = "The path has empty or dot segments.",
    websocket = "There is no WebSocket here.",
    unknown_user = "User or password is wrong.",
    wrong_password = "User or password is wrong.",
    sign_in_limit = "Too many failed attempts to sign in: try again later.",
    provider_away = "The sign-in service cannot be reached: try again in a few seconds.",
}

function answers.problem()
    local status, header, reason = ngx.status, ngx.header, ngx.var.gw_reason
    if status == 401 and settings.auth == "basic" then
        header["WWW-Authenticate"] = 'Basic realm="Atlas", charset="UTF-8"'
    elseif status == 405 then
        header["Allow"] = reason == "get_mutation" and "POST" or "GET, HEAD"
    elseif status == 429 then
        header["Retry-After"] = ngx.var.gw_retry_after
    elseif status == 502 or status == 503 or status == 504 then
        header["Retry-After"] = "5"
        local upstream = ngx.var.gw_upstream
        if upstream ~= "" then metrics.add("atlas_gateway_upstream_failures_total", 1, upstream) end
    end
    ngx.status = status
    local text = WHY[reason] or TEXT[ngx.status] or TEXT[status >= 500 and 500 or 400]
    local wanted = (ngx.var.http_accept or "") .. (ngx.var.http_content_type or "")
    if wanted:find("json", 1, true) then
        header.content_type = "application/json"
        text = cjson.encode({error = text, status = status, request_id = ngx.var.request_id})
    else
        header.content_type = "text/plain; charset=utf-8"
    end
    ngx.print(text, "\n")
end

-- Answers ok or failing, as `atlas ops` does at /health/ready; cached for a second.
function answers.health()
    local dict = ngx.shared.readiness
    local well = dict:get("ready")
    if well == nil then
        local ops = settings.upstreams.ops
        local target = routes.address(ops.host) .. ":" .. ops.port .. "/health/ready"
        well = ngx.location.capture("/-/ready", {vars = {gw_ask = target}}).status == 200
        dict:set("ready", well, 1)
    end
    ngx.status = well and 200 or 503
    ngx.header.content_type = "text/plain; charset=utf-8"
    if not well then ngx.header["Retry-After"] = "5" end
    ngx.print(well and "ok\n" or "failing\n")
end

return answers
