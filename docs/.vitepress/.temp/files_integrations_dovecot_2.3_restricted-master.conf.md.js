import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"restricted-master.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/dovecot/2.3/restricted-master.conf.md","filePath":"files/integrations/dovecot/2.3/restricted-master.conf.md"}');
const _sfc_main = { name: "files/integrations/dovecot/2.3/restricted-master.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="restricted-master-conf" tabindex="-1">restricted-master.conf <a class="header-anchor" href="#restricted-master-conf" aria-label="Permalink to &quot;restricted-master.conf&quot;">​</a></h1><p><code>integrations/dovecot/2.3/restricted-master.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Dovecot 2.3: a master identity that may only look. Put it into conf.d/ as 95-restricted-master.conf, after postern.conf</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># and after every other line that sets mail_plugins, where people who support users should change nothing: their identity</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># gets a line of its own in /etc/dovecot/postern-master, here &quot;support&quot;, and the plugin of Roundcube signs staff in with</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># it (postern_support_cid). For Dovecot 2.4 see ../2.4.</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># With this plugin a master user has no right that is not written down; users keep all rights in their own mailboxes.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">mail_plugins</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = $mail_plugins acl</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">plugin</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> {</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # /etc/dovecot/postern-acls, two lines:</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  #   * user=gateway lrwstipekxa</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  #   * user=support lr</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # l: folders are listed, r: mails are read. Without s nothing becomes \\Seen, without t, e and i nothing is deleted or</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # written. &quot;gateway&quot; signs users in, so it needs all of them.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  acl</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = vfile:/etc/dovecot/postern-acls</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">}</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/dovecot/2.3/restricted-master.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const restrictedMaster_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  restrictedMaster_conf as default
};
