import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"postern.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/deploy/fail2ban/jail.d/postern.conf.md","filePath":"files/deploy/fail2ban/jail.d/postern.conf.md"}');
const _sfc_main = { name: "files/deploy/fail2ban/jail.d/postern.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="postern-conf" tabindex="-1">postern.conf <a class="header-anchor" href="#postern-conf" aria-label="Permalink to &quot;postern.conf&quot;">​</a></h1><p><code>deploy/fail2ban/jail.d/postern.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Postern delays guesses itself (docs/security.md); this jail also turns away at the firewall who goes on. Enable it only</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># on nodes whose clients connect to them directly: behind a load balancer, ban there.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Put networks from which many users come by one address (NAT of an office) into ignoreip, as into login.exempt_networks.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">[postern]</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">enabled</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  = false</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">filter</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">   = postern</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">backend</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  = systemd</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">port</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">     = http,https</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">maxretry</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = 20</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">findtime</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = 10m</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">bantime</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">  = 1h</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/deploy/fail2ban/jail.d/postern.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const postern_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  postern_conf as default
};
