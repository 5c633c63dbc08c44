import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"Security policy","description":"","frontmatter":{},"headers":[],"relativePath":"files/SECURITY.md","filePath":"files/SECURITY.md"}');
const _sfc_main = { name: "files/SECURITY.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="security-policy" tabindex="-1">Security policy <a class="header-anchor" href="#security-policy" aria-label="Permalink to &quot;Security policy&quot;">​</a></h1><p>Please report a weakness in private, by mail to <strong>SECURITY-ADDRESS</strong> (the owner of the repository fills this in before the first release), or by a private advisory of the repository. Do not open a public issue.</p><p>Write what you did, what happened, and the version (<code>postern --version</code>). A configuration with the secrets removed helps. We name you in the changelog if you like.</p><p>The newest minor version gets security fixes. <a href="/security.html">docs/security.md</a> says what Postern protects, against whom, and what it leaves to others.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/SECURITY.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const SECURITY = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  SECURITY as default
};
