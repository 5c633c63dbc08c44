-- A Dovecot proxy, 2.3 or 2.4, asks Postern's directory service where a user lives, and passes the password on to the
-- mail server there. Debian: dovecot-auth-lua, lua-socket, lua-cjson. See docs/directory-service.md.

-- directory_service.listen of a gateway.
local service = "http://127.0.0.1:9092"
-- A copy of directory_service.key_file, readable by Dovecot's user: root:dovecot, mode 0640.
local key_file = "/etc/dovecot/postern-key"
-- How the proxy connects to mail servers: {} plainly, { starttls = "yes" }, or { ssl = "yes" } with directory_service.ports
-- of TLS (993, 995). Their certificates must have the names of `imap:` of the backends; see the end of proxy-2.*.conf.
local security = {}
-- Seconds, below the gateway's own patience: IMAP clients wait longer.
local timeout = 5

local http, ltn12, json = require("socket.http"), require("ltn12"), require("cjson")
local auth = dovecot.auth
local key

function script_init()
  local file = assert(io.open(key_file))
  key = file:read("l")
  file:close()
  return 0
end

-- Dovecot's protocols, by the names of directory_service.ports.
local protocols = { imap = "imap", pop3 = "pop3", submission = "submission", sieve = "sieve" }

-- "Later" is never "no": a client that hears "no" asks its user for another password, or forgets the right one.
local function later(request, why)
  request:log_error("postern: " .. why)
  return auth.PASSDB_RESULT_INTERNAL_FAILURE, why
end

local function ask(user)
  local name = user:gsub("[^%w._-]", function(byte) return string.format("%%%02X", byte:byte()) end)
  local body = {}
  local answered, status = http.request({
    url = service:gsub("/+$", "") .. "/lookup?user=" .. name,
    -- Another server must not get the key.
    redirect = false,
    headers = { ["X-Postern-Key"] = key },
    sink = ltn12.sink.table(body),
    create = function()
      local socket = require("socket").tcp()
      socket:settimeout(timeout)
      return socket
    end,
  })
  return answered and status or nil, table.concat(body), status
end

function auth_passdb_lookup(request)
  local status, body, why = ask(request.user)
  local readable, home = pcall(json.decode, body)
  if not readable or type(home) ~= "table" then home = nil end
  -- Any other 404 is of somebody else, such as a proxy in between, who does not know users.
  if status == 404 and home and home.error == "unknown user" then
    return auth.PASSDB_RESULT_USER_UNKNOWN, "unknown user"
  end
  if status ~= 200 then return later(request, "the directory service said " .. tostring(why)) end
  if not home then return later(request, "the directory service sent no JSON") end
  -- As for an unknown user: the reason is told only to who has shown the right password, at the gateway's sign-in page.
  if home.refuse then return auth.PASSDB_RESULT_USER_UNKNOWN, "refused" end
  if type(home.ports) ~= "table" or not (home.name and home.address and home.login) then
    return later(request, "the answer is not one of the directory service")
  end
  local port = home.ports[protocols[request.protocol or request.service]]
  if type(port) ~= "number" then return later(request, "directory_service.ports has none for this protocol") end
  local fields = { nopassword = "y", proxy = "y", host = home.name, hostip = home.address, destuser = home.login }
  -- Whatever was typed: who, kick and the log of this proxy know the user by the one name that Postern knows.
  fields.user = home.user
  -- Lua reads numbers of JSON as 143.0, which is no port.
  fields.port = string.format("%d", port)
  for name, value in pairs(security) do fields[name] = value end
  return auth.PASSDB_RESULT_OK, fields
end

function auth_userdb_lookup() return auth.USERDB_RESULT_USER_UNKNOWN, "a proxy has no mailboxes" end
