import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"main.cf","description":"","frontmatter":{},"headers":[],"relativePath":"files/deploy/postfix/main.cf.md","filePath":"files/deploy/postfix/main.cf.md"}');
const _sfc_main = { name: "files/deploy/postfix/main.cf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="main-cf" tabindex="-1">main.cf <a class="header-anchor" href="#main-cf" aria-label="Permalink to &quot;main.cf&quot;">​</a></h1><p><code>deploy/postfix/main.cf</code> of the project:</p><div class="language-text vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">text</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span># Postfix delivers each mail to the backend on which Postern&#39;s directory has its user: add this to main.cf.</span></span>
<span class="line"><span># directory_service.socketmap of a gateway listens on 127.0.0.1:9093.</span></span>
<span class="line"><span></span></span>
<span class="line"><span># The domains of directory_service.domains. They must not stand in mydestination.</span></span>
<span class="line"><span>virtual_mailbox_domains = example.org</span></span>
<span class="line"><span># Unknown recipients are refused before their mail is taken.</span></span>
<span class="line"><span>virtual_mailbox_maps = socketmap:inet:127.0.0.1:9093:users</span></span>
<span class="line"><span># The LMTP servers know users by their own names alone.</span></span>
<span class="line"><span>virtual_alias_maps = socketmap:inet:127.0.0.1:9093:aliases</span></span>
<span class="line"><span># lmtp:inet:[mx1.internal]:24; &quot;later&quot; during a move and in MAINT.</span></span>
<span class="line"><span>transport_maps = socketmap:inet:127.0.0.1:9093:homes</span></span>
<span class="line"><span># For who was deleted while the mail waited: its sender hears so.</span></span>
<span class="line"><span>virtual_transport = error:5.1.1 unknown user</span></span>
<span class="line"><span></span></span>
<span class="line"><span># directory_service.recipient_delimiter</span></span>
<span class="line"><span>recipient_delimiter = +</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/deploy/postfix/main.cf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const main_cf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  main_cf as default
};
