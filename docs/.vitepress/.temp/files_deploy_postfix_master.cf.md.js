import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"master.cf","description":"","frontmatter":{},"headers":[],"relativePath":"files/deploy/postfix/master.cf.md","filePath":"files/deploy/postfix/master.cf.md"}');
const _sfc_main = { name: "files/deploy/postfix/master.cf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="master-cf" tabindex="-1">master.cf <a class="header-anchor" href="#master-cf" aria-label="Permalink to &quot;master.cf&quot;">​</a></h1><p><code>deploy/postfix/master.cf</code> of the project:</p><div class="language-text vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">text</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span># Mail for a user who is being moved, or whose backend is in MAINT, is taken and waits in the queue. Without these lines</span></span>
<span class="line"><span># Postfix answers 451 to RCPT, so that other servers keep it, and mail programs of your own users show an error. Instead</span></span>
<span class="line"><span># of the line smtp of master.cf, and for submission and smtps likewise:</span></span>
<span class="line"><span>smtp       inet  n  -  n  -  -  smtpd</span></span>
<span class="line"><span>  -o rewrite_service_name=rewrite-in</span></span>
<span class="line"><span>rewrite-in unix  -  -  n  -  -  trivial-rewrite</span></span>
<span class="line"><span>  -o transport_maps=</span></span>
<span class="line"><span>  -o virtual_transport=virtual</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/deploy/postfix/master.cf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const master_cf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  master_cf as default
};
