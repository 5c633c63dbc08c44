import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"regex: patterns","description":"","frontmatter":{},"headers":[],"relativePath":"directory/regex.md","filePath":"directory/regex.md"}');
const _sfc_main = { name: "directory/regex.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="regex-patterns" tabindex="-1">regex: patterns <a class="header-anchor" href="#regex-patterns" aria-label="Permalink to &quot;regex: patterns&quot;">​</a></h1><div class="language-yaml vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">yaml</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">directory</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">:</span></span>
<span class="line"><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">  sources</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">:</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    - { </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">type</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">regex</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">, </span><span style="--shiki-light:#22863A;--shiki-dark:#85E89D;">file</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">: </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">homes.regexp</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> }</span></span></code></pre></div><div class="language-regexp vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">regexp</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># homes.regexp, as in Postfix</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">if /@example\\.org$/</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/^[a-m]/                a</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/^[n-z]/                b</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">endif</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/^(.)[^@]*@example\\.net$/   mail-$1.example.net</span></span></code></pre></div><table tabindex="0"><thead><tr><th>key</th><th>default</th><th>meaning</th></tr></thead><tbody><tr><td><code>file</code></td><td>required</td><td>at most 1,000 patterns; reloaded as a whole when it changes</td></tr><tr><td><code>format</code></td><td><code>postfix</code></td><td><code>postfix</code>: regexp_table(5) and pcre_table(5) with <code>!</code>, <code>if</code>, <code>endif</code>, flags <code>i</code> (a toggle: case is ignored without it), <code>m</code>, <code>s</code>. <code>perdition</code>: popmap.re</td></tr><tr><td><code>answers</code></td><td><code>backend</code>; with <code>format: perdition</code> <code>perdition</code></td><td>as for <a href="/directory/map.html">map</a></td></tr></tbody></table><ul><li>The first pattern that matches the whole name <code>user@domain</code> wins; <code>$1</code>, <code>\${1}</code>, <code>$(1)</code> insert what it captured. There are no implied anchors.</li><li>Patterns are <a href="https://github.com/google/re2/wiki/Syntax" target="_blank" rel="noreferrer">RE2&#39;s</a>: the time of a match grows only with the length of the name, so no name that a stranger types can block the gateway. Features that RE2 lacks, references inside a pattern (<code>(a)\\1</code>) and lookaround, is refused when the file is read, with its line.</li><li>In popmap.re, a backslash makes the next character literal and is removed, as in Perdition: write <code>\\\\.</code> for a full stop.</li><li>With <code>answers: user</code>, a pattern that would make any name of the domain one user is a catch-all, and <a href="/directory/map.html">not followed</a> unless <code>catch_all: true</code> says so.</li><li>Patterns do not know individual users: their answers count as defaults (<a href="/directory.html#order-and-what-follows-an-answer">what follows</a>).</li></ul></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("directory/regex.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const regex = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  regex as default
};
