import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"last-login.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/dovecot/2.3/last-login.conf.md","filePath":"files/integrations/dovecot/2.3/last-login.conf.md"}');
const _sfc_main = { name: "files/integrations/dovecot/2.3/last-login.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="last-login-conf" tabindex="-1">last-login.conf <a class="header-anchor" href="#last-login-conf" aria-label="Permalink to &quot;last-login.conf&quot;">​</a></h1><p><code>integrations/dovecot/2.3/last-login.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Dovecot 2.3: when a mailbox was last opened, and by whom. Put it into conf.d/ as 95-last-login.conf, after every other</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># line that sets mail_plugins. For Dovecot 2.4 see ../2.4.</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">protocol </span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">imap {</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  mail_plugins = $mail_plugins last_login</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">}</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">protocol pop3 {</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  mail_plugins = $mail_plugins last_login</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">}</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">plugin {</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # A file in each user&#39;s home; any other dict of Dovecot will do.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  last_login_dict = file:%h/last-login</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # A key for each identity: a visit of staff, or a sign-in of the gateway&#39;s own, must not look like one of the user.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # alice@example.org: with the password (each sign-in at Postern, too); gateway, support: the master identities.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  last_login_key = last-login/%u/%{auth_user}</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">}</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/dovecot/2.3/last-login.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const lastLogin_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  lastLogin_conf as default
};
