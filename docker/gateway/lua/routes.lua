-- Routes to the upstreams: Dagster's web server, as of 1.13, and `atlas ops`. A route's name is its value of the label
-- `path` in metrics.
local routes = {}

-- prefix, name, kind: `api` has rate limits and is protected against cross-site requests, `static` and `page` are not.
local PREFIXES = {
    {"/report_asset_materialization/", "/report_asset", "api"},
    {"/report_asset_observation/", "/report_asset", "api"},
    {"/report_asset_check/", "/report_asset", "api"},
    {"/download_debug/", "/download_debug", "api"},
    {"/logs/", "/logs", "api"},
    {"/ops/", "/ops", "api"},
    {"/_next/", "/static", "static"},
    {"/vendor/", "/static", "static"},
}
local EXACT = {
    ["/graphql"] = {"/graphql", "api"},
    ["/notebook"] = {"/notebook", "api"},
    ["/dagit/notebook"] = {"/notebook", "api"},
    ["/server_info"] = {"/server_info", "api"},
    ["/dagit_info"] = {"/server_info", "api"},
    ["/ops"] = {"/ops", "api"},
}

-- Name and kind of the route of a path, as nginx decoded it.
function routes.of(path)
    if EXACT[path] then return unpack(EXACT[path]) end
    for _, one in ipairs(PREFIXES) do
        if path:sub(1, #one[1]) == one[1] then return one[2], one[3] end
    end
    if path:find("^/[%w_.-]+%.%l%w+$") then return "/static", "static" end
    return "/", "page"
end

-- Resolves a name by /etc/hosts, which nginx's resolver does not read. The file is read again after a few seconds.
local hosts, read_at = {}, 0

function routes.address(host)
    local now = ngx.now()
    if now - read_at > 2 then
        hosts, read_at = {}, now
        local file = io.open("/etc/hosts")
        for line in file and file:lines() or function() end do
            local address, names = line:gsub("#.*", ""):match("^%s*(%S+)%s+(.*)")
            for name in (names or ""):gmatch("%S+") do
                hosts[name] = hosts[name] or (address:find(":", 1, true) and "[" .. address .. "]" or address)
            end
        end
        if file then file:close() end
    end
    return hosts[host] or host
end

return routes
