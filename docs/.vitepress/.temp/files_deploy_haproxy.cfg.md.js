import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"haproxy.cfg","description":"","frontmatter":{},"headers":[],"relativePath":"files/deploy/haproxy.cfg.md","filePath":"files/deploy/haproxy.cfg.md"}');
const _sfc_main = { name: "files/deploy/haproxy.cfg.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="haproxy-cfg" tabindex="-1">haproxy.cfg <a class="header-anchor" href="#haproxy-cfg" aria-label="Permalink to &quot;haproxy.cfg&quot;">​</a></h1><p><code>deploy/haproxy.cfg</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># HAProxy in front of two nodes. TLS ends here; any node serves any request, so there is no affinity.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># postern.yaml:  trusted_proxies: [the addresses that this HAProxy connects from]</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">#                operators: { agent_check: 10.0.0.21:9091 }</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Check with:    haproxy -c -f haproxy.cfg</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">global</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    maxconn</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 20000</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    log</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> /dev/log local0 info</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    stats</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> socket /run/haproxy/admin.sock mode </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">660</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> level admin</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    ssl-default-bind-</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">options</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> ssl-min-ver TLSv1.2</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">defaults</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    mode</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> http</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    log</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> global</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    option</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> httplog</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    option</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> dontlognull</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    timeout </span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">http-request 10s</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    timeout http-keep-alive 60s</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    timeout client 70s</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    timeout connect 3s</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Above the webmail&#39;s first byte (180 s); ActiveSync needs 3,600 s.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    timeout server 200s</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # WebSockets.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    timeout tunnel 2h</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Nothing was sent when a connection could not be made: another node gets the request, whatever its method.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    retries 3</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    option redispatch 1</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">frontend webmail</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    bind :443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    bind :80</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    http-request redirect scheme https code </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">308</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> unless { ssl_fc }</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # set-header, not option forwardfor: what a browser wrote there is gone.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    http-request set-header X-Forwarded-For %[src]</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    http-request set-header X-Forwarded-Proto https</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    http-request set-header X-Forwarded-Host %[req.hdr(Host)]</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    default_backend postern</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">backend postern</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    balance leastconn</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # HTTP/1.0 without a Host: the gateway answers it under any name.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    option httpchk GET /-/ready</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    http-check expect status 200</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    http-reuse safe</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # A node that dies answers nothing: what only reads is asked again, at another node.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    retry-on conn-failure empty-response</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    http-request disable-l7-retry unless METH_GET</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # fall x inter must be below the gateway&#39;s shutdown.delay (5 s).</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    default-server check inter </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">1s</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> fall </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">2</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> rise </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">2</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> agent-inter 1s</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    server g1 10.0.0.21:8080 agent-check agent-port 9091</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    server g2 10.0.0.22:8080 agent-check agent-port 9091</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/deploy/haproxy.cfg.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const haproxy_cfg = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  haproxy_cfg as default
};
