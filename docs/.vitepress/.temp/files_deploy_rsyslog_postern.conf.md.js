import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"postern.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/deploy/rsyslog/postern.conf.md","filePath":"files/deploy/rsyslog/postern.conf.md"}');
const _sfc_main = { name: "files/deploy/rsyslog/postern.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="postern-conf" tabindex="-1">postern.conf <a class="header-anchor" href="#postern-conf" aria-label="Permalink to &quot;postern.conf&quot;">​</a></h1><p><code>deploy/rsyslog/postern.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># rsyslog 8 takes the log and the audit of the gateways over TLS, and writes each line as it was sent: /etc/rsyslog.d/postern.conf</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># It needs rsyslog-openssl. Put this at the top of /etc/rsyslog.conf: global(maxMessageSize=&quot;64k&quot;). With its 8 KiB, longer lines are cut.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">module(load=&quot;imtcp&quot;</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">       StreamDriver.Name=&quot;ossl&quot; StreamDriver.Mode=&quot;1&quot; StreamDriver.AuthMode=&quot;anon&quot;)</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">global(DefaultNetstreamDriverCAFile=&quot;/</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">etc/rsyslog.d</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/logs.crt</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">       DefaultNetstreamDriverCertFile=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/etc/rsyslog.d/logs.crt</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">       DefaultNetstreamDriverKeyFile=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/etc/rsyslog.d/logs.key</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;)</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">template(name=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">postern-line</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; type=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">string</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; string=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">%msg%\\n</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;)</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">ruleset(name=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">postern</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;) {</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">  if $</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">syslogfacility</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> == 13 then</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">    action(type=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">omfile</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; file=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/var/log/postern-audit.jsonl</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; template=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">postern-line</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; fileCreateMode=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">0600</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;)</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">  else</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">    action(type=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">omfile</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; file=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/var/log/postern.jsonl</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; template=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">postern-line</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; fileCreateMode=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">0600</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;)</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">}</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">input(type=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">imtcp</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; port=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">6514</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot; ruleset=&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">postern</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;)</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/deploy/rsyslog/postern.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const postern_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  postern_conf as default
};
