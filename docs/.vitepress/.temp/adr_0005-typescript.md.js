import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"5. Node runs the TypeScript directly","description":"","frontmatter":{},"headers":[],"relativePath":"adr/0005-typescript.md","filePath":"adr/0005-typescript.md"}');
const _sfc_main = { name: "adr/0005-typescript.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="_5-node-runs-the-typescript-directly" tabindex="-1">5. Node runs the TypeScript directly <a class="header-anchor" href="#_5-node-runs-the-typescript-directly" aria-label="Permalink to &quot;5. Node runs the TypeScript directly&quot;">​</a></h1><p>Date: 2026-11-22. Status: accepted.</p><h2 id="context" tabindex="-1">Context <a class="header-anchor" href="#context" aria-label="Permalink to &quot;Context&quot;">​</a></h2><p>A build step means two trees, source maps, a watch mode, and a difference between what is tested and what runs. Node 24 strips types from TypeScript without a flag and without a warning.</p><h2 id="decision" tabindex="-1">Decision <a class="header-anchor" href="#decision" aria-label="Permalink to &quot;Decision&quot;">​</a></h2><p>There is no build and no <code>dist</code>: <code>bin/postern.mjs</code> starts <code>src/main.ts</code>, and tests, demo, lab and bench run in the same way. <code>tsc</code> only checks types (<code>noEmit</code>). Only erasable syntax is allowed (<code>erasableSyntaxOnly</code>): no enums, no namespaces, no parameter properties. Imports include the file extension.</p><p>Node 24 is an optional dependency, so that <code>npm ci</code> installs it on a machine with an older version; npm scripts find it first. Production has Node 24 and installs with <code>--omit=dev --omit=optional</code>. <code>bin/postern.mjs</code> is plain JavaScript that any Node can run, and says so if Node is too old.</p><h2 id="consequences" tabindex="-1">Consequences <a class="header-anchor" href="#consequences" aria-label="Permalink to &quot;Consequences&quot;">​</a></h2><p>Stack traces name the lines as written. Starting costs about as much as with compiled files, because only configured drivers are imported.</p><p>Node refuses to strip types under <code>node_modules</code>. Postern therefore ships as a source tree, in a container or a distribution package, and never as a dependency (<code>private: true</code>).</p><p>Tools that need TypeScript&#39;s JavaScript API do not work with TypeScript 7; oxlint, Biome and knip do.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("adr/0005-typescript.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const _0005Typescript = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  _0005Typescript as default
};
