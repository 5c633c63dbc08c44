import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"imapd.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/cyrus/imapd.conf.md","filePath":"files/integrations/cyrus/imapd.conf.md"}');
const _sfc_main = { name: "files/integrations/cyrus/imapd.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="imapd-conf" tabindex="-1">imapd.conf <a class="header-anchor" href="#imapd-conf" aria-label="Permalink to &quot;imapd.conf&quot;">​</a></h1><p><code>integrations/cyrus/imapd.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Cyrus IMAP 3.6 to 3.10 (Debian 12 and 13) behind Postern: lines for /etc/imapd.conf.</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># TLS for the gateway&#39;s password checks; without it Cyrus offers no PLAIN.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">tls_server_cert: /</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">etc/ssl</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/private/imap.crt</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">tls_server_key: /etc/ssl/private/imap.key</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">sasl_mech_list: PLAIN</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Entry without the user&#39;s password (Roundcube with the plugin postern): who signs in as &quot;gateway&quot; may name another user</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># as authorization id. Not &quot;admins&quot;: an administrator sees and deletes every mailbox.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">proxyservers: gateway</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Users with their domains, as the gateway names them (alice@example.org). Left out: the gateway writes names without,</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># by login_name of the backend.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">#virtdomains: userid</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">#defaultdomain: example.org</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Only for support over IMAP (master: of the backend in postern.yaml): a name of its own among the admins, who alone are</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># told whether a mailbox exists. Without one Postern opens nobody&#39;s mailbox here and puts no notices into any.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">#admins: cyrus postern</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Cyrus lets a proxy in as a user who does not exist, and would make the mailbox: Postern never takes that for proof of</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># a user. Keep it from making mailboxes by mistake.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">autocreate_quota: -1</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Cyrus logs the user and &quot;PLAIN&quot;, not who acted: the gateway&#39;s audit log is the record of that.</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/cyrus/imapd.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const imapd_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  imapd_conf as default
};
