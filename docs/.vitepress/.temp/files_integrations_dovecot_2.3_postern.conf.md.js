import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"postern.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/dovecot/2.3/postern.conf.md","filePath":"files/integrations/dovecot/2.3/postern.conf.md"}');
const _sfc_main = { name: "files/integrations/dovecot/2.3/postern.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="postern-conf" tabindex="-1">postern.conf <a class="header-anchor" href="#postern-conf" aria-label="Permalink to &quot;postern.conf&quot;">​</a></h1><p><code>integrations/dovecot/2.3/postern.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Dovecot 2.3 behind Postern. Put it into conf.d/ under a name that sorts first, 05-postern.conf: the passdb for masters</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># must stand before that of the users. For Dovecot 2.4 see ../2.4.</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># The gateways. From here Dovecot believes the browser&#39;s address (IMAP ID, x-originating-ip): logs, auth_policy and the</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># penalty for wrong passwords then count the browser. Without it one attacker delays everybody&#39;s sign-in.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># The webmail on this machine is listed too (its plugin postern sends the address as well).</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Beware: from here Dovecot also takes passwords without TLS. List single machines, never a network of users.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">login_trusted_networks</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">10.0.0.21</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> 10.0.0.22</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 127.0.0.1</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># The client&#39;s address and the reference of the gateway&#39;s log, and who acted for whom.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">login_log_format_elements</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = user=&lt;%u&gt; master=&lt;%{auth_user}&gt; method=%m rip=%r lip=%l real_rip=%{real_rip} %c session=&lt;%{session}&gt;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Below the gateway&#39;s login.refusal_after (3 s), or refusals would tell an existing user from an unknown one by time.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">auth_failure_delay</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">2</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> secs</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># ---- Entry without the user&#39;s password: for support, or where Postern forgets passwords. Leave out what follows otherwise.</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Only the gateway&#39;s own identity stands in this file, one line: gateway:{ARGON2ID}…  (doveadm pw -s ARGON2ID), mode 0600</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># or root:dovecot 0640. People who support users have no line here: they sign in at Postern.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">passdb</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> {</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  driver</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = passwd-file</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  args</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = /etc/dovecot/postern-master</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  master</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = yes</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">  # The mailbox itself must exist, in the passdb of users below: without &quot;continue&quot; any name would be let in.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">  result_success</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = continue</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">}</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># SASL PLAIN with an authorization id needs no separator. SOGo&#39;s trusted mode and Horde sign in as user*gateway and do need it;</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># then forbid the character in login names at the gateway (directory.forbidden_characters: &quot;*&quot;).</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">#auth_master_user_separator = *</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># The passdb of the users, as you have it already, comes after the one above.</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/dovecot/2.3/postern.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const postern_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  postern_conf as default
};
