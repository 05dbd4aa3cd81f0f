-- Metrics in the workers' shared memory, and their exposition for Prometheus. docs/gateway.md lists the families.
local metrics = {}

local BOUNDS = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

-- name, type, labels, help; in the order of the exposition.
local FAMILIES = {
    {"atlas_http_requests_total", "counter", {"method", "path", "status"}, "Answered requests."},
    {"atlas_http_request_duration_seconds", "histogram", {"method", "path"}, "Duration of requests."},
    {"atlas_http_requests_in_progress", "gauge", {}, "Requests in progress."},
    {"atlas_gateway_request_bytes_total", "counter", {"path"}, "Bytes of requests."},
    {"atlas_gateway_response_bytes_total", "counter", {"path"}, "Bytes of responses."},
    {"atlas_gateway_websockets_open", "gauge", {}, "Open WebSockets."},
    {"atlas_gateway_sign_ins_total", "counter", {"result"}, "Sign-in attempts by result."},
    {"atlas_gateway_rate_limited_total", "counter", {"limit"}, "Requests refused by a rate limit."},
    {"atlas_gateway_refused_total", "counter", {"reason"}, "Requests refused by reason."},
    {"atlas_gateway_mutations_total", "counter", {"role", "outcome"}, "Requested changes."},
    {"atlas_gateway_upstream_failures_total", "counter", {"upstream"}, "Requests that no upstream answered."},
    {"atlas_gateway_errors_total", "counter", {}, "Errors of the gateway's own code."},
}

local function series(name, labels, values)
    local pairs_ = {}
    for i, label in ipairs(labels) do
        pairs_[i] = label .. '="' .. tostring(values[i]):gsub('[\\"\n]', "_") .. '"'
    end
    return #pairs_ == 0 and name or name .. "{" .. table.concat(pairs_, ",") .. "}"
end

local LABELS = {}
for _, family in ipairs(FAMILIES) do LABELS[family[1]] = family[3] end

function metrics.add(name, amount, ...)
    ngx.shared.metrics:incr(series(name, LABELS[name], {...}), amount, 0)
end

function metrics.observe(name, seconds, ...)
    local labels, values = {}, {...}
    for i, label in ipairs(LABELS[name]) do labels[i] = label end
    labels[#labels + 1] = "le"
    for _, bound in ipairs(BOUNDS) do
        values[#labels] = bound
        ngx.shared.metrics:incr(series(name .. "_bucket", labels, values), seconds <= bound and 1 or 0, 0)
    end
    values[#labels] = "+Inf"
    ngx.shared.metrics:incr(series(name .. "_bucket", labels, values), 1, 0)
    ngx.shared.metrics:incr(series(name .. "_sum", LABELS[name], values), seconds, 0)
    ngx.shared.metrics:incr(series(name .. "_count", LABELS[name], values), 1, 0)
end

function metrics.expose()
    local dict = ngx.shared.metrics
    local by_name = {}
    for _, key in ipairs(dict:get_keys(0)) do
        local name = key:match("^[%w_]+")
        by_name[name] = by_name[name] or {}
        table.insert(by_name[name], key)
    end
    local out = {}
    for _, family in ipairs(FAMILIES) do
        local name, kind, labels, help = unpack(family)
        out[#out + 1] = "# HELP " .. name .. " " .. help
        out[#out + 1] = "# TYPE " .. name .. " " .. kind
        local parts = kind == "histogram" and {name .. "_bucket", name .. "_sum", name .. "_count"} or {name}
        for _, part in ipairs(parts) do
            local keys = by_name[part] or {}
            table.sort(keys)
            for _, key in ipairs(keys) do out[#out + 1] = key .. " " .. dict:get(key) end
            if #keys == 0 and #labels == 0 then out[#out + 1] = name .. " 0" end
        end
    end
    out[#out + 1] = "# HELP atlas_gateway_connections Connections to the gateway."
    out[#out + 1] = "# TYPE atlas_gateway_connections gauge"
    for _, state in ipairs {"reading", "waiting", "writing"} do
        out[#out + 1] = 'atlas_gateway_connections{state="' .. state .. '"} ' .. ngx.var["connections_" .. state]
    end
    ngx.header.content_type = "text/plain; version=0.0.4; charset=utf-8"
    ngx.print(table.concat(out, "\n"), "\n")
end

return metrics
