import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"cdb: a constant database","description":"","frontmatter":{},"headers":[],"relativePath":"directory/cdb.md","filePath":"directory/cdb.md"}');
const _sfc_main = { name: "directory/cdb.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="cdb-a-constant-database" tabindex="-1">cdb: a constant database <a class="header-anchor" href="#cdb-a-constant-database" aria-label="Permalink to &quot;cdb: a constant database&quot;">​</a></h1><div class="language-yaml vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">yaml</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">directory</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">:</span></span>
<span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">  sources</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">:</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    - { </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">type</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">cdb</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">, </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">file</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">homes.cdb</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> }</span></span></code></pre></div><div class="language-sh vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">sh</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6F42C1;--shiki-dark:#B392F0;">awk</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &#39;{ sub(/: /, &quot; &quot;); print }&#39;</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> users.map</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;"> |</span><span style="--shiki-light:#6F42C1;--shiki-dark:#B392F0;"> cdb</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> -c</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> -m</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> homes.cdb</span><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">     # tinycdb</span></span>
<span class="line"><span style="--shiki-light:#6F42C1;--shiki-dark:#B392F0;">postmap</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> cdb:homes</span><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">                                                   # Postfix: makes homes.cdb</span></span></code></pre></div><table tabindex="0"><thead><tr><th>key</th><th>default</th><th>meaning</th></tr></thead><tbody><tr><td><code>file</code></td><td>required</td><td>a replaced file is loaded; write a new file and rename it over the old one, as these programs do</td></tr><tr><td><code>answers</code></td><td><code>backend</code></td><td>as for <a href="/directory/map.html">map</a></td></tr></tbody></table><p>Nothing is kept in memory: a lookup is a few small reads. The keys are those of <a href="/directory/map.html">map</a> (<code>user@domain</code>, <code>user</code>, <code>@domain</code>, <code>*</code>), but compared byte for byte, so write them in lower case. Keys and values may end in a NUL.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("directory/cdb.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const cdb = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  cdb as default
};
