import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"doveadm: a Dovecot director","description":"","frontmatter":{},"headers":[],"relativePath":"directory/doveadm.md","filePath":"directory/doveadm.md"}');
const _sfc_main = { name: "directory/doveadm.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="doveadm-a-dovecot-director" tabindex="-1">doveadm: a Dovecot director <a class="header-anchor" href="#doveadm-a-dovecot-director" aria-label="Permalink to &quot;doveadm: a Dovecot director&quot;">​</a></h1><p>Use this source while you migrate from a director (Dovecot 2.3 is the last version with one). While IMAP still goes through the director, Postern asks the director, so that webmail and IMAP use the same backend.</p><div class="language-yaml vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">yaml</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">directory</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">:</span></span>
<span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">  hosts</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: { </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">10.1.0.11</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">a</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">, </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">10.1.0.12</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">b</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> }</span></span>
<span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">  sources</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">:</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    - </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">type</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">doveadm</span></span>
<span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">      url</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">http://director.example.org:8080/doveadm/v1</span></span>
<span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">      api_key</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: { </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">file</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">doveadm-api-key</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> }</span></span></code></pre></div><p>On the director:</p><div class="language-dovecot vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">dovecot</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">doveadm_api_key</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = …</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">service</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> doveadm {</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  inet_listener</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> http {</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    port</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = 8080</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  }</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">}</span></span></code></pre></div><table tabindex="0"><thead><tr><th>key</th><th>default</th><th>meaning</th></tr></thead><tbody><tr><td><code>url</code></td><td>required</td><td><code>http://host:port/doveadm/v1</code> or <code>https://…</code></td></tr><tr><td><code>api_key</code></td><td>required</td><td><code>doveadm_api_key</code> of the director</td></tr><tr><td><code>key</code></td><td><code>%u</code></td><td>the user as the director knows it (<code>director_username_hash</code>)</td></tr><tr><td><code>tls_ca_file</code></td><td>the system&#39;s</td><td>authorities to trust</td></tr></tbody></table><p>The answer is where the user is now, or else where the director&#39;s hash would place the user. A director answers for every name, so its answers count as defaults; another source, or the backend, must say who exists. When nothing else uses the director any more, replace it with <a href="/directory/hash.html">hash</a> and <code>shared_storage: true</code>.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("directory/doveadm.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const doveadm = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  doveadm as default
};
