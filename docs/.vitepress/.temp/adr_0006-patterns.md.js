import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse(`{"title":"6. Operators' patterns run on RE2","description":"","frontmatter":{},"headers":[],"relativePath":"adr/0006-patterns.md","filePath":"adr/0006-patterns.md"}`);
const _sfc_main = { name: "adr/0006-patterns.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="_6-operators-patterns-run-on-re2" tabindex="-1">6. Operators&#39; patterns run on RE2 <a class="header-anchor" href="#_6-operators-patterns-run-on-re2" aria-label="Permalink to &quot;6. Operators&#39; patterns run on RE2&quot;">​</a></h1><p>Date: 2026-11-22. Status: accepted.</p><h2 id="context" tabindex="-1">Context <a class="header-anchor" href="#context" aria-label="Permalink to &quot;Context&quot;">​</a></h2><p>Sites that come from Postfix or Perdition bring files of regular expressions that map users to servers. Strangers type the names that these match, before any password is checked. JavaScript&#39;s own expressions backtrack: with <code>^(\\w+)+@</code>, a name of 28 letters blocks the process, and so every user, for six seconds (Node 24). Each further letter doubles the time. The language has no way to limit the time of a match.</p><h2 id="decision" tabindex="-1">Decision <a class="header-anchor" href="#decision" aria-label="Permalink to &quot;Decision&quot;">​</a></h2><p>The <code>regex</code> source compiles its patterns with re2js, a port of RE2 in plain JavaScript (<code>src/directory/sources/regex.ts</code>): the time of a match grows with the length of the name, whatever the pattern. Features that RE2 lacks (references inside a pattern, lookaround) are refused when the file is read, with file and line. A file may hold at most 1,000 patterns; a table of users belongs in a <code>map</code>, which is looked up and not searched.</p><p>node-re2 is faster, but it is compiled for each platform, and the gateway has no other native dependency. A worker thread with a deadline would make a sign-in wait for the deadline, and the pattern would still be bad.</p><p>Expressions in our own code remain JavaScript&#39;s.</p><h2 id="consequences" tabindex="-1">Consequences <a class="header-anchor" href="#consequences" aria-label="Permalink to &quot;Consequences&quot;">​</a></h2><p>A file that uses features that RE2 lacks must be rewritten before it can be used; the message names the line. Matching is slower than with JavaScript&#39;s own expressions, but the difference does not matter in a sign-in. Answers are not cached, so a changed file takes effect at once.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("adr/0006-patterns.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const _0006Patterns = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  _0006Patterns as default
};
