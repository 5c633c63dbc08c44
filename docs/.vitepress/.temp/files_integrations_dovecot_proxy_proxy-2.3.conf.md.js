import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"proxy-2.3.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/dovecot/proxy/proxy-2.3.conf.md","filePath":"files/integrations/dovecot/proxy/proxy-2.3.conf.md"}');
const _sfc_main = { name: "files/integrations/dovecot/proxy/proxy-2.3.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="proxy-2-3-conf" tabindex="-1">proxy-2.3.conf <a class="header-anchor" href="#proxy-2-3-conf" aria-label="Permalink to &quot;proxy-2.3.conf&quot;">​</a></h1><p><code>integrations/dovecot/proxy/proxy-2.3.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Dovecot 2.3 as a proxy for IMAP, POP3 and ManageSieve: put it into conf.d/, and take the other passdb and userdb blocks out. On the</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># mail servers the proxy belongs into login_trusted_networks, so that they learn the addresses of the clients.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">passdb</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> {</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  driver</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = lua</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # blocking: the question is asked in a worker, and nobody else waits for it.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  args</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = file=/etc/dovecot/postern.lua blocking=yes</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">}</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Where postern.lua has starttls or ssl: the authority of the mail servers&#39; certificates. Debian&#39;s is</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># /etc/ssl/certs/ca-certificates.crt. (2.3.19 reads no ssl_client_ca_file for a proxy.)</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">#ssl_ca = &lt;/etc/dovecot/mail-servers-ca.crt</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">#ssl_require_crl = no</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/dovecot/proxy/proxy-2.3.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const proxy2_3_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  proxy2_3_conf as default
};
