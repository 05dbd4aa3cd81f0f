-- Headers of every response. Dagster's own Content-Security-Policy with its nonce is kept: browsers enforce both policies.
local headers = {}

local POLICY = table.concat({
    "base-uri 'none'", "object-src 'none'", "form-action 'self'", "frame-ancestors 'self'", "frame-src 'self'",
    "img-src 'self' data: blob:", "font-src 'self' data:", "connect-src 'self'", "media-src 'self' data:",
    "worker-src 'self' blob:", "manifest-src 'self'",
}, "; ")
-- Pages rendered from data, which could contain a script: they are sandboxed.
local FROM_DATA = {["/logs"] = true, ["/notebook"] = true, ["/download_debug"] = true, ["/ops"] = true}
local SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"

function headers.finish()
    local header, route = ngx.header, ngx.var.gw_route
    if ngx.status == 101 then
        ngx.var.gw_websocket = "open"
        require("metrics").add("atlas_gateway_websockets_open", 1)
        return
    end
    local own = header["Content-Security-Policy"]
    local policy = FROM_DATA[route] and SANDBOX or POLICY
    header["Content-Security-Policy"] = own and {own, policy} or policy
    header["Strict-Transport-Security"] = "max-age=31536000"
    header["X-Frame-Options"] = "SAMEORIGIN"
    header["X-Content-Type-Options"] = "nosniff"
    header["Referrer-Policy"] = "strict-origin-when-cross-origin"
    header["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
    header["Cross-Origin-Opener-Policy"] = "same-origin"
    header["Cross-Origin-Resource-Policy"] = "same-origin"
    header["X-Request-Id"] = ngx.var.request_id
    header["Feature-Policy"] = nil
    header["X-Dagster-Call-Counts"] = nil
    if route == "/static" and ngx.status == 200 and ngx.var.uri:sub(1, 14) == "/_next/static/" then
        header["Cache-Control"] = "private, max-age=31536000, immutable"
    elseif route ~= "/static" and not header["Cache-Control"] then
        header["Cache-Control"] = "no-store"
    end
end

return headers
