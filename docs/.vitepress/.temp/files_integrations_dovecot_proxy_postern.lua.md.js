import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"postern.lua","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/dovecot/proxy/postern.lua.md","filePath":"files/integrations/dovecot/proxy/postern.lua.md"}');
const _sfc_main = { name: "files/integrations/dovecot/proxy/postern.lua.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="postern-lua" tabindex="-1">postern.lua <a class="header-anchor" href="#postern-lua" aria-label="Permalink to &quot;postern.lua&quot;">​</a></h1><p><code>integrations/dovecot/proxy/postern.lua</code> of the project:</p><div class="language-text vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">text</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span>-- A Dovecot proxy, 2.3 or 2.4, asks Postern&#39;s directory service where a user lives, and passes the password on to the</span></span>
<span class="line"><span>-- mail server there. Debian: dovecot-auth-lua, lua-socket, lua-cjson. See docs/directory-service.md.</span></span>
<span class="line"><span></span></span>
<span class="line"><span>-- directory_service.listen of a gateway.</span></span>
<span class="line"><span>local service = &quot;http://127.0.0.1:9092&quot;</span></span>
<span class="line"><span>-- A copy of directory_service.key_file, readable by Dovecot&#39;s user: root:dovecot, mode 0640.</span></span>
<span class="line"><span>local key_file = &quot;/etc/dovecot/postern-key&quot;</span></span>
<span class="line"><span>-- How the proxy connects to mail servers: {} plainly, { starttls = &quot;yes&quot; }, or { ssl = &quot;yes&quot; } with directory_service.ports</span></span>
<span class="line"><span>-- of TLS (993, 995). Their certificates must have the names of \`imap:\` of the backends; see the end of proxy-2.*.conf.</span></span>
<span class="line"><span>local security = {}</span></span>
<span class="line"><span>-- Seconds, below the gateway&#39;s own patience: IMAP clients wait longer.</span></span>
<span class="line"><span>local timeout = 5</span></span>
<span class="line"><span></span></span>
<span class="line"><span>local http, ltn12, json = require(&quot;socket.http&quot;), require(&quot;ltn12&quot;), require(&quot;cjson&quot;)</span></span>
<span class="line"><span>local auth = dovecot.auth</span></span>
<span class="line"><span>local key</span></span>
<span class="line"><span></span></span>
<span class="line"><span>function script_init()</span></span>
<span class="line"><span>  local file = assert(io.open(key_file))</span></span>
<span class="line"><span>  key = file:read(&quot;l&quot;)</span></span>
<span class="line"><span>  file:close()</span></span>
<span class="line"><span>  return 0</span></span>
<span class="line"><span>end</span></span>
<span class="line"><span></span></span>
<span class="line"><span>-- Dovecot&#39;s protocols, by the names of directory_service.ports.</span></span>
<span class="line"><span>local protocols = { imap = &quot;imap&quot;, pop3 = &quot;pop3&quot;, submission = &quot;submission&quot;, sieve = &quot;sieve&quot; }</span></span>
<span class="line"><span></span></span>
<span class="line"><span>-- &quot;Later&quot; is never &quot;no&quot;: a client that hears &quot;no&quot; asks its user for another password, or forgets the right one.</span></span>
<span class="line"><span>local function later(request, why)</span></span>
<span class="line"><span>  request:log_error(&quot;postern: &quot; .. why)</span></span>
<span class="line"><span>  return auth.PASSDB_RESULT_INTERNAL_FAILURE, why</span></span>
<span class="line"><span>end</span></span>
<span class="line"><span></span></span>
<span class="line"><span>local function ask(user)</span></span>
<span class="line"><span>  local name = user:gsub(&quot;[^%w._-]&quot;, function(byte) return string.format(&quot;%%%02X&quot;, byte:byte()) end)</span></span>
<span class="line"><span>  local body = {}</span></span>
<span class="line"><span>  local answered, status = http.request({</span></span>
<span class="line"><span>    url = service:gsub(&quot;/+$&quot;, &quot;&quot;) .. &quot;/lookup?user=&quot; .. name,</span></span>
<span class="line"><span>    -- Another server must not get the key.</span></span>
<span class="line"><span>    redirect = false,</span></span>
<span class="line"><span>    headers = { [&quot;X-Postern-Key&quot;] = key },</span></span>
<span class="line"><span>    sink = ltn12.sink.table(body),</span></span>
<span class="line"><span>    create = function()</span></span>
<span class="line"><span>      local socket = require(&quot;socket&quot;).tcp()</span></span>
<span class="line"><span>      socket:settimeout(timeout)</span></span>
<span class="line"><span>      return socket</span></span>
<span class="line"><span>    end,</span></span>
<span class="line"><span>  })</span></span>
<span class="line"><span>  return answered and status or nil, table.concat(body), status</span></span>
<span class="line"><span>end</span></span>
<span class="line"><span></span></span>
<span class="line"><span>function auth_passdb_lookup(request)</span></span>
<span class="line"><span>  local status, body, why = ask(request.user)</span></span>
<span class="line"><span>  local readable, home = pcall(json.decode, body)</span></span>
<span class="line"><span>  if not readable or type(home) ~= &quot;table&quot; then home = nil end</span></span>
<span class="line"><span>  -- Any other 404 is of somebody else, such as a proxy in between, who does not know users.</span></span>
<span class="line"><span>  if status == 404 and home and home.error == &quot;unknown user&quot; then</span></span>
<span class="line"><span>    return auth.PASSDB_RESULT_USER_UNKNOWN, &quot;unknown user&quot;</span></span>
<span class="line"><span>  end</span></span>
<span class="line"><span>  if status ~= 200 then return later(request, &quot;the directory service said &quot; .. tostring(why)) end</span></span>
<span class="line"><span>  if not home then return later(request, &quot;the directory service sent no JSON&quot;) end</span></span>
<span class="line"><span>  -- As for an unknown user: the reason is told only to who has shown the right password, at the gateway&#39;s sign-in page.</span></span>
<span class="line"><span>  if home.refuse then return auth.PASSDB_RESULT_USER_UNKNOWN, &quot;refused&quot; end</span></span>
<span class="line"><span>  if type(home.ports) ~= &quot;table&quot; or not (home.name and home.address and home.login) then</span></span>
<span class="line"><span>    return later(request, &quot;the answer is not one of the directory service&quot;)</span></span>
<span class="line"><span>  end</span></span>
<span class="line"><span>  local port = home.ports[protocols[request.protocol or request.service]]</span></span>
<span class="line"><span>  if type(port) ~= &quot;number&quot; then return later(request, &quot;directory_service.ports has none for this protocol&quot;) end</span></span>
<span class="line"><span>  local fields = { nopassword = &quot;y&quot;, proxy = &quot;y&quot;, host = home.name, hostip = home.address, destuser = home.login }</span></span>
<span class="line"><span>  -- Lua reads numbers of JSON as 143.0, which is no port.</span></span>
<span class="line"><span>  fields.port = string.format(&quot;%d&quot;, port)</span></span>
<span class="line"><span>  for name, value in pairs(security) do fields[name] = value end</span></span>
<span class="line"><span>  return auth.PASSDB_RESULT_OK, fields</span></span>
<span class="line"><span>end</span></span>
<span class="line"><span></span></span>
<span class="line"><span>function auth_userdb_lookup() return auth.USERDB_RESULT_USER_UNKNOWN, &quot;a proxy has no mailboxes&quot; end</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/dovecot/proxy/postern.lua.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const postern_lua = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  postern_lua as default
};
