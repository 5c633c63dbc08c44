import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"apache.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/sogo/apache.conf.md","filePath":"files/integrations/sogo/apache.conf.md"}');
const _sfc_main = { name: "files/integrations/sogo/apache.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="apache-conf" tabindex="-1">apache.conf <a class="header-anchor" href="#apache-conf" aria-label="Permalink to &quot;apache.conf&quot;">​</a></h1><p><code>integrations/sogo/apache.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Apache 2.4 before SOGo, behind Postern. Replace addresses and the secret.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># a2enmod alias env expires headers proxy proxy_http</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&lt;</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">VirtualHost</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> *:80&gt;</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Only gateways get in: a user who found this address would meet SOGo&#39;s own form, without penalty and audit.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">Location</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&gt;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">        Require</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> ip </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">10.0.0.21</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 10.0.0.22</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;/Location&gt;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # ---- mode trusted: identity counts from a gateway that knows the secret, and from nobody else. In mode password the</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # gateway sends neither field.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    RequestHeader</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> unset x-webobjects-remote-user </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;expr=! %{HTTP:X-Postern-Secret} == &#39;REPLACE-BY-THE-SECRET-OF-THE-GATEWAY&#39;&quot;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    RequestHeader</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> unset x-webobjects-auth-type</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    RequestHeader</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> set x-webobjects-auth-type Basic </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;expr=%{HTTP:X-Postern-Secret} == &#39;REPLACE-BY-THE-SECRET-OF-THE-GATEWAY&#39;&quot;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    RequestHeader</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> unset X-Postern-Secret</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Longer than the gateway keeps an idle connection (webmail_keep_alive, 4 s).</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    KeepAlive</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> On</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    KeepAliveTimeout</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 30</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    MaxKeepAliveRequests</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 0</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # As large as the largest mail; SOGoMaximumMessageSizeLimit of sogo.conf applies as well.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    LimitRequestBody</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 67108864</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Redirects without a host: the public one is the gateway&#39;s, and so is HTTPS.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    RedirectRelative</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> On</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    RedirectMatch</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> 302</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;^/$&quot;</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/SOGo/&quot;</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Calendar programs that know only the name of the server.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    Redirect</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> 301</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/.well-known/caldav&quot;</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/SOGo/dav/&quot;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    Redirect</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> 301</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/.well-known/carddav&quot;</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/SOGo/dav/&quot;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Debian 12 and 13 have the files here; /usr/lib/GNUstep of Debian 12 only leads here.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    Alias</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/SOGo.woa/WebServerResources/&quot;</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/usr/share/GNUstep/SOGo/WebServerResources/&quot;</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">Directory</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/usr/share/GNUstep/SOGo/WebServerResources/&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&gt;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">        ExpiresActive</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> On</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">        ExpiresDefault</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;access plus 1 day&quot;</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;/Directory&gt;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # The target as it was sent: names of folders and events contain %2F.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    AllowEncodedSlashes</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> NoDecode</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    ProxyPreserveHost</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> On</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # sogod closes idle connections at moments of its own.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    SetEnv</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> proxy-nokeepalive 1</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Phones (package sogo-activesync). A request waits for news, up to SOGoMaximumPingInterval of sogo.conf.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    ProxyPass</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/Microsoft-Server-ActiveSync&quot;</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;http://127.0.0.1:20000/SOGo/Microsoft-Server-ActiveSync&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> retry=0 nocanon connectiontimeout=5 timeout=3600</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Pages, and CalDAV and CardDAV below /SOGo/dav.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    ProxyPass</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/SOGo&quot;</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;http://127.0.0.1:20000/SOGo&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> retry=0 nocanon connectiontimeout=5 timeout=180</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&lt;/VirtualHost&gt;</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/sogo/apache.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const apache_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  apache_conf as default
};
