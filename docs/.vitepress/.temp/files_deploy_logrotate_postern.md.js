import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"postern","description":"","frontmatter":{},"headers":[],"relativePath":"files/deploy/logrotate/postern.md","filePath":"files/deploy/logrotate/postern.md"}');
const _sfc_main = { name: "files/deploy/logrotate/postern.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="postern" tabindex="-1">postern <a class="header-anchor" href="#postern" aria-label="Permalink to &quot;postern&quot;">​</a></h1><p><code>deploy/logrotate/postern</code> of the project:</p><div class="language-text vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">text</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span># The gateway opens the audit again for each line: no signal is needed, and no line is lost. postern audit list and</span></span>
<span class="line"><span># verify read audit.jsonl.1, .2 and so on together, so the names keep this form and the files stay uncompressed.</span></span>
<span class="line"><span># postern-audit-verify.timer verifies them each day: Debian&#39;s logrotate.service runs no Node (MemoryDenyWriteExecute).</span></span>
<span class="line"><span>/var/log/postern/audit.jsonl {</span></span>
<span class="line"><span>    su postern postern</span></span>
<span class="line"><span>    monthly</span></span>
<span class="line"><span>    rotate 36</span></span>
<span class="line"><span>    nodateext</span></span>
<span class="line"><span>    start 1</span></span>
<span class="line"><span>    nocompress</span></span>
<span class="line"><span>    nocreate</span></span>
<span class="line"><span>    nocopytruncate</span></span>
<span class="line"><span>    missingok</span></span>
<span class="line"><span>    notifempty</span></span>
<span class="line"><span>}</span></span>
<span class="line"><span></span></span>
<span class="line"><span># Only if a drop-in of yours has systemd write the log to a file: StandardOutput=append:/var/log/postern.log.</span></span>
<span class="line"><span># systemd keeps that file open, so it is copied and emptied; lines that come between the two are lost.</span></span>
<span class="line"><span>/var/log/postern.log {</span></span>
<span class="line"><span>    weekly</span></span>
<span class="line"><span>    rotate 8</span></span>
<span class="line"><span>    compress</span></span>
<span class="line"><span>    delaycompress</span></span>
<span class="line"><span>    copytruncate</span></span>
<span class="line"><span>    missingok</span></span>
<span class="line"><span>    notifempty</span></span>
<span class="line"><span>}</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/deploy/logrotate/postern.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const postern = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  postern as default
};
