-- Parses GraphQL documents as far as is needed to know what they change: operations and the names of their root fields,
-- also behind aliases, fragments and directives. It needs no schema, and keeps no values.
local graphql = {}

local MAX_DEPTH, MAX_FIELDS = 64, 64

-- The tokens of a document; a string is one token without its text. Raises an error on anything else.
local function tokens(text)
    local found, at = {}, 1
    while true do
        at = text:match("^[%s,]*()", at)
        local byte = text:sub(at, at)
        if byte == "" then return found end
        local past, name = text:match("^()([_%a][_%w]*)", at)
        if past then
            found[#found + 1] = name
            at = at + #name
        elseif text:sub(at, at + 2) == "\239\187\191" then
            at = at + 3
        elseif byte == "#" then
            at = text:find("[\r\n]", at) or #text + 1
        elseif text:sub(at, at + 2) == '"""' then
            local from = at + 3
            repeat
                local closing = text:find('"""', from, true) or error("open string", 0)
                from = closing + 3
            until text:sub(closing - 1, closing - 1) ~= "\\"
            found[#found + 1], at = '"', from
        elseif byte == '"' then
            local from = at + 1
            while true do
                local special = text:find('["\\\r\n]', from) or error("open string", 0)
                local what = text:sub(special, special)
                if what == '"' then at = special + 1 break end
                if what ~= "\\" then error("open string", 0) end
                from = special + 2
            end
            found[#found + 1] = '"'
        elseif text:sub(at, at + 2) == "..." then
            found[#found + 1], at = "...", at + 3
        elseif byte:find("[%d-]") then
            found[#found + 1], at = "0", text:match("^%-?[%w.+-]*()", at)
        elseif byte:find("[!$&()%[%]{}:=|@]") then
            found[#found + 1], at = byte, at + 1
        else
            error("no token", 0)
        end
    end
end

local CLOSING = {["("] = ")", ["["] = "]", ["{"] = "}"}

local function parser(list)
    local at, p = 1, {}
    function p.peek() return list[at] end
    function p.next()
        at = at + 1
        return list[at - 1] or error("unexpected end", 0)
    end
    function p.expect(token) if p.next() ~= token then error("expected " .. token, 0) end end
    function p.name()
        local token = p.next()
        return token:find("^[_%a]") and token or error("expected a name", 0)
    end
    -- Skips a pair of brackets and all between them.
    function p.skip(depth)
        if depth > MAX_DEPTH then error("too deep", 0) end
        local closing = CLOSING[p.next()]
        while p.peek() ~= closing do
            if CLOSING[p.peek()] then p.skip(depth + 1) else p.next() end
        end
        p.next()
    end
    function p.directives()
        while p.peek() == "@" do
            p.next()
            p.name()
            if p.peek() == "(" then p.skip(1) end
        end
    end
    -- {fields = names, spreads = names} of a selection set, inline fragments included.
    function p.selections(into, depth)
        if depth > MAX_DEPTH then error("too deep", 0) end
        p.expect("{")
        while p.peek() ~= "}" do
            if p.peek() == "..." then
                p.next()
                local token = p.peek()
                if token == "on" or token == "@" or token == "{" then
                    if token == "on" then p.next() p.name() end
                    p.directives()
                    p.selections(into, depth + 1)
                else
                    into.spreads[#into.spreads + 1] = p.name()
                    p.directives()
                end
            else
                local field = p.name()
                if p.peek() == ":" then
                    p.next()
                    field = p.name()
                end
                if p.peek() == "(" then p.skip(1) end
                p.directives()
                if p.peek() == "{" then p.skip(1) end
                into.fields[#into.fields + 1] = field
            end
        end
        p.next()
        return into
    end
    return p
end

local function collect(selection, fragments, names, seen)
    for _, field in ipairs(selection.fields) do
        if not seen["field " .. field] and #names < MAX_FIELDS then
            seen["field " .. field], names[#names + 1] = true, field
        end
    end
    for _, spread in ipairs(selection.spreads) do
        if not fragments[spread] then error("unknown fragment", 0) end
        if not seen["spread " .. spread] then
            seen["spread " .. spread] = true
            collect(fragments[spread], fragments, names, seen)
        end
    end
    return names
end

local function read(text)
    local p = parser(tokens(text))
    local operations, fragments = {}, {}
    while p.peek() do
        local token = p.peek()
        if token == "fragment" then
            p.next()
            local name = p.name()
            p.expect("on")
            p.name()
            p.directives()
            fragments[name] = p.selections({fields = {}, spreads = {}}, 1)
        else
            local operation = {type = "query"}
            if token ~= "{" then
                operation.type = p.name()
                if not ({query = 1, mutation = 1, subscription = 1})[operation.type] then error("no operation", 0) end
                if p.peek() and p.peek():find("^[_%a]") then operation.name = p.name() end
                if p.peek() == "(" then p.skip(1) end
                p.directives()
            end
            operation.selection = p.selections({fields = {}, spreads = {}}, 1)
            operations[#operations + 1] = operation
        end
    end
    if #operations == 0 then error("no operation", 0) end
    for _, operation in ipairs(operations) do
        operation.fields = collect(operation.selection, fragments, {}, {})
        operation.selection = nil
    end
    return operations
end

-- Operations of a document, {type, name, fields} each; nil when it cannot be read.
function graphql.operations(text)
    local fine, found = pcall(read, text)
    return fine and found or nil
end

return graphql
