import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"postern.service","description":"","frontmatter":{},"headers":[],"relativePath":"files/deploy/systemd/postern.service.md","filePath":"files/deploy/systemd/postern.service.md"}');
const _sfc_main = { name: "files/deploy/systemd/postern.service.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="postern-service" tabindex="-1">postern.service <a class="header-anchor" href="#postern-service" aria-label="Permalink to &quot;postern.service&quot;">​</a></h1><p><code>deploy/systemd/postern.service</code> of the project:</p><div class="language-text vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">text</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span>[Unit]</span></span>
<span class="line"><span>Description=Postern, the front door of a webmail cluster</span></span>
<span class="line"><span>Documentation=man:postern(1) man:postern.yaml(5)</span></span>
<span class="line"><span>After=network-online.target</span></span>
<span class="line"><span>Wants=network-online.target</span></span>
<span class="line"><span># The audit is verified each day, once the gateway has been started. To have that no more, mask the timer.</span></span>
<span class="line"><span>Wants=postern-audit-verify.timer</span></span>
<span class="line"><span># A store that is away, or an address that is not there yet (exit status 3), is tried until it is there.</span></span>
<span class="line"><span>StartLimitIntervalSec=0</span></span>
<span class="line"><span></span></span>
<span class="line"><span>[Service]</span></span>
<span class="line"><span># READY=1 comes when the listeners answer. systemd-notify sends it, as a child of the gateway.</span></span>
<span class="line"><span>Type=notify</span></span>
<span class="line"><span>NotifyAccess=all</span></span>
<span class="line"><span>User=postern</span></span>
<span class="line"><span>Group=postern</span></span>
<span class="line"><span>UMask=0077</span></span>
<span class="line"><span># /etc/postern holds the configuration, and nothing that the gateway writes, if \`postern init\` wrote it.</span></span>
<span class="line"><span>WorkingDirectory=/etc/postern</span></span>
<span class="line"><span>StateDirectory=postern</span></span>
<span class="line"><span>StateDirectoryMode=0700</span></span>
<span class="line"><span>LogsDirectory=postern</span></span>
<span class="line"><span>LogsDirectoryMode=0750</span></span>
<span class="line"><span># The operators&#39; socket lies here. With operators.socket_access: group, the group postern may use it.</span></span>
<span class="line"><span>RuntimeDirectory=postern</span></span>
<span class="line"><span>RuntimeDirectoryMode=0750</span></span>
<span class="line"><span># What Node has compiled stays for the next start, which takes half as long then. Nobody else may write there: it is code.</span></span>
<span class="line"><span>CacheDirectory=postern</span></span>
<span class="line"><span>CacheDirectoryMode=0700</span></span>
<span class="line"><span>Environment=NODE_ENV=production NODE_COMPILE_CACHE=%C/postern</span></span>
<span class="line"><span># V8 shrinks the heap of an idle process, and then collects all the time when requests come: docs/performance.md.</span></span>
<span class="line"><span>ExecStart=/usr/lib/postern/bin/node --no-memory-reducer --min-semi-space-size=64 /usr/lib/postern/bin/postern.mjs serve -c /etc/postern/postern.yaml</span></span>
<span class="line"><span># A configuration with problems fails the reload, and the gateway is not told.</span></span>
<span class="line"><span>ExecReload=/usr/lib/postern/bin/node --no-memory-reducer --min-semi-space-size=64 /usr/lib/postern/bin/postern.mjs check -c /etc/postern/postern.yaml</span></span>
<span class="line"><span>ExecReload=/bin/kill -HUP $MAINPID</span></span>
<span class="line"><span>SyslogIdentifier=postern</span></span>
<span class="line"><span># Above shutdown.delay + shutdown.deadline.</span></span>
<span class="line"><span>TimeoutStopSec=75</span></span>
<span class="line"><span>Restart=on-failure</span></span>
<span class="line"><span>RestartSec=2s</span></span>
<span class="line"><span># A wrong configuration, or keys that cannot be used, stay so: start the gateway when you have mended them.</span></span>
<span class="line"><span>RestartPreventExitStatus=2</span></span>
<span class="line"><span>LimitNOFILE=65536</span></span>
<span class="line"><span>LimitCORE=0</span></span>
<span class="line"><span></span></span>
<span class="line"><span># A listener below port 1024, such as 443 with tls, needs low-ports.conf. It is in deploy/systemd of a checkout, and in</span></span>
<span class="line"><span># /usr/share/doc/postern/deploy/systemd of the package.</span></span>
<span class="line"><span>CapabilityBoundingSet=</span></span>
<span class="line"><span>AmbientCapabilities=</span></span>
<span class="line"><span>NoNewPrivileges=yes</span></span>
<span class="line"><span># The file system is read-only but for the directories above, and for the one where 0.1.0 kept keys, store and audit.</span></span>
<span class="line"><span>ProtectSystem=strict</span></span>
<span class="line"><span>ReadWritePaths=-/etc/postern/state</span></span>
<span class="line"><span>ProtectHome=yes</span></span>
<span class="line"><span>PrivateTmp=yes</span></span>
<span class="line"><span>PrivateMounts=yes</span></span>
<span class="line"><span>PrivateDevices=yes</span></span>
<span class="line"><span>DevicePolicy=closed</span></span>
<span class="line"><span>ProtectProc=invisible</span></span>
<span class="line"><span>ProcSubset=pid</span></span>
<span class="line"><span>ProtectClock=yes</span></span>
<span class="line"><span>ProtectHostname=yes</span></span>
<span class="line"><span>ProtectKernelLogs=yes</span></span>
<span class="line"><span>ProtectKernelModules=yes</span></span>
<span class="line"><span>ProtectKernelTunables=yes</span></span>
<span class="line"><span>ProtectControlGroups=yes</span></span>
<span class="line"><span>PrivateUsers=yes</span></span>
<span class="line"><span>RemoveIPC=yes</span></span>
<span class="line"><span>KeyringMode=private</span></span>
<span class="line"><span>LockPersonality=yes</span></span>
<span class="line"><span>RestrictNamespaces=yes</span></span>
<span class="line"><span>RestrictRealtime=yes</span></span>
<span class="line"><span>RestrictSUIDSGID=yes</span></span>
<span class="line"><span>RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX</span></span>
<span class="line"><span>SystemCallArchitectures=native</span></span>
<span class="line"><span>SystemCallFilter=@system-service</span></span>
<span class="line"><span>SystemCallFilter=~@privileged @resources</span></span>
<span class="line"><span>SystemCallErrorNumber=EPERM</span></span>
<span class="line"><span># Not MemoryDenyWriteExecute: V8 compiles JavaScript to machine code.</span></span>
<span class="line"><span></span></span>
<span class="line"><span>[Install]</span></span>
<span class="line"><span>WantedBy=multi-user.target</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/deploy/systemd/postern.service.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const postern_service = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  postern_service as default
};
