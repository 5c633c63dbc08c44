import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"9. Homes that are known only at sign-in","description":"","frontmatter":{},"headers":[],"relativePath":"adr/0009-referrals.md","filePath":"adr/0009-referrals.md"}');
const _sfc_main = { name: "adr/0009-referrals.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="_9-homes-that-are-known-only-at-sign-in" tabindex="-1">9. Homes that are known only at sign-in <a class="header-anchor" href="#_9-homes-that-are-known-only-at-sign-in" aria-label="Permalink to &quot;9. Homes that are known only at sign-in&quot;">​</a></h1><p>Date: 2026-11-26. Status: accepted.</p><h2 id="context" tabindex="-1">Context <a class="header-anchor" href="#context" aria-label="Permalink to &quot;Context&quot;">​</a></h2><p>In some clusters, only the IMAP servers know where a user lives: they answer a login with a referral (RFC 2221). A source of the directory never sees a password, and this must not change: there are many sources, their answers are cached and traced, and commands ask them, too.</p><h2 id="decision" tabindex="-1">Decision <a class="header-anchor" href="#decision" aria-label="Permalink to &quot;Decision&quot;">​</a></h2><p>The source <code>referral</code> answers which server to ask, not where the user lives: <code>referred</code>, with the server. After the penalty has admitted the attempt, the sign-in asks that server through the passdb and returns the answer to the chain. The chain translates it by the same rules as every answer: one configured backend, the same user, or an alarm and &quot;later&quot;. The password is then tried on that backend like any other, and a second referral is a failure. The cache of the source learns the home only after the password was right there.</p><h2 id="consequences" tabindex="-1">Consequences <a class="header-anchor" href="#consequences" aria-label="Permalink to &quot;Consequences&quot;">​</a></h2><p>A sign-in costs one more login, once per <code>cache.found</code>. Callers without a password (<code>postern lookup</code>, moves, mail proxies) are told that the home is known only at sign-in; an override still answers for such a user. A referring server sees passwords, including those for names that do not exist, and must belong to the cluster.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("adr/0009-referrals.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const _0009Referrals = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  _0009Referrals as default
};
