import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"None","description":"","frontmatter":{},"headers":[],"relativePath":"webmails/none.md","filePath":"webmails/none.md"}');
const _sfc_main = { name: "webmails/none.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="none" tabindex="-1">None <a class="header-anchor" href="#none" aria-label="Permalink to &quot;None&quot;">​</a></h1><p>This driver only routes. Postern checks the password and sends the user&#39;s requests to the right backend; the webmail does the rest, or asks for the password again. Begin with this driver when you try Postern.</p><div class="language-yaml vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">yaml</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">backends</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">:</span></span>
<span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">  g</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: { </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">imap</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">imaps://10.0.0.17</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">, </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">webmail</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">http://10.0.0.17/</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">, </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">driver</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">none</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> }</span></span></code></pre></div><table tabindex="0"><thead><tr><th></th><th></th></tr></thead><tbody><tr><td>signs in</td><td>nowhere: the webmail has its own sign-in, or needs no session</td></tr><tr><td>the browser holds</td><td>what the webmail sets without HttpOnly</td></tr><tr><td>session lost</td><td>left to the webmail: its sign-in page is passed on</td></tr><tr><td>sign-out</td><td>the gateway&#39;s own (<code>/-/logout</code>); the webmail&#39;s own button does not end the gateway&#39;s session</td></tr><tr><td>the gateway&#39;s session expires first</td><td>a page redirects to the gateway&#39;s sign-in page and back; a script gets a 401</td></tr><tr><td>without a password, support</td><td>both work if the webmail asks for no password</td></tr></tbody></table><h2 id="what-the-backend-needs" tabindex="-1">What the backend needs <a class="header-anchor" href="#what-the-backend-needs" aria-label="Permalink to &quot;What the backend needs&quot;">​</a></h2><p>Nothing. The webmail is not told who the user is; use <a href="/webmails/header.html">header</a> if it needs to know. For signing out, its pages may link to <code>/-/logout</code>.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("webmails/none.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const none = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  none as default
};
