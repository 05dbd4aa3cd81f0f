-- What a request would change, for the audit log: names of mutations, jobs and assets, and no other values. A request that
-- cannot be parsed counts as a change.
local cjson = require "cjson.safe"
local graphql = require "graphql"

local changes = {}

-- Most names of each kind in a line, and most characters of a name.
local MAX_NAMES, MAX_LENGTH = 20, 128

local function body()
    ngx.req.read_body()
    local text = ngx.req.get_body_data()
    local path = not text and ngx.req.get_body_file()
    if path then
        local file = io.open(path, "rb")
        text = file and file:read("*a")
        if file then file:close() end
    end
    return text or ""
end

local function safe(name)
    return type(name) == "string" and #name <= MAX_LENGTH and name:find("^[%w_./-]+$") and name
end

local function put(change, kind, name)
    if not name then return end
    local list = change[kind]
    name = name:sub(1, MAX_LENGTH)
    for _, one in ipairs(list) do if one == name then return end end
    if #list < MAX_NAMES then list[#list + 1] = name else change.more = true end
end

-- Jobs and assets that are named where Dagster's UI and clients name them: `selector` and `assetSelection`.
local function named(value, change, depth)
    if type(value) ~= "table" or depth > 8 then return end
    for key, inner in pairs(value) do
        if (key == "pipelineName" or key == "jobName") and safe(inner) then
            put(change, "jobs", safe(inner))
        elseif (key == "assetSelection" or key == "assetKeys") and type(inner) == "table" then
            for _, asset in ipairs(inner) do
                local path = type(asset) == "table" and asset.path
                local fine, joined = pcall(table.concat, type(path) == "table" and path or {}, "/")
                put(change, "assets", fine and joined ~= "" and safe(joined))
            end
        elseif key ~= "runConfigData" and key ~= "executionMetadata" then
            named(inner, change, depth + 1)
        end
    end
end

-- Adds what one document changes; `request` has its operationName and variables.
local function add(change, text, request)
    local operations = type(text) == "string" and graphql.operations(text)
    if not operations then
        change.unread = true
        return
    end
    for _, operation in ipairs(operations) do
        if operation.type == "mutation" then
            change.found = true
            for _, field in ipairs(operation.fields) do put(change, "mutations", field) end
            put(change, "operations", safe(operation.name))
        end
    end
    local variables = request.variables
    if type(variables) == "string" then variables = cjson.decode(variables) end
    named(variables, change, 1)
end

local function add_json(change, text)
    local decoded = cjson.decode(text)
    if type(decoded) ~= "table" then
        change.unread = true
    elseif decoded.query == nil and #decoded > 0 then
        for _, one in ipairs(decoded) do
            if type(one) == "table" then add(change, one.query, one) else change.unread = true end
        end
    else
        add(change, decoded.query, decoded)
    end
end

local function strings(value)
    return type(value) == "table" and value or {value}
end

-- The change that a request to /graphql makes, or nil. Dagster reads the document from one place, by the content type; here
-- every place is read.
function changes.of_graphql(method)
    local change = {mutations = {}, operations = {}, jobs = {}, assets = {}}
    local arguments, cut = ngx.req.get_uri_args(50)
    local variables = strings(arguments.variables)
    for _, text in ipairs(strings(arguments.query)) do add(change, text, {variables = variables[#variables]}) end
    if cut then change.unread = true end
    if method ~= "GET" and method ~= "HEAD" then
        local kind, text = (ngx.var.http_content_type or ""):lower(), body()
        if kind:find("application/graphql", 1, true) and not kind:find("application/json", 1, true) then
            add(change, text, {})
        elseif text ~= "" then
            add_json(change, text)
        end
    end
    if not change.found and not change.unread then return nil end
    change.found, change.unread = nil, change.unread or nil
    if change.unread then put(change, "mutations", "unread") end
    for _, list in ipairs {"operations", "jobs", "assets"} do
        if #change[list] == 0 then change[list] = nil end
    end
    return change
end

-- The change that a request to /report_asset_… makes.
function changes.of_report(path)
    local kind, asset = path:match("^/(report_asset_%l+)/(.*)$")
    return {mutations = {kind}, assets = safe(asset) and {asset} or nil}
end

return changes
