import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"sogo.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/sogo/sogo.conf.md","filePath":"files/integrations/sogo/sogo.conf.md"}');
const _sfc_main = { name: "files/integrations/sogo/sogo.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="sogo-conf" tabindex="-1">sogo.conf <a class="header-anchor" href="#sogo-conf" aria-label="Permalink to &quot;sogo.conf&quot;">​</a></h1><p><code>integrations/sogo/sogo.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/* </span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">SOGo</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> 5</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> behind Postern: lines for /etc/sogo/sogo.conf (inside its braces). */</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/* </span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">sogod</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> must be reachable by its web server only: whoever reaches it directly can name any user in trusted mode. */</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">WOPort</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;127.0.0.1:20000&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/* </span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">Keep</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> it </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">on</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> (mode password): the gateway hands the token to the browser. */</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">SOGoXSRFValidationEnabled</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = YES;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/* Kilobytes; </span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">the</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> web server and PHP-like limits apply as well. */</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">SOGoMaximumMessageSizeLimit</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> = </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">51200</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">/* </span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">ActiveSync</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> (package sogo-activesync): a phone</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&#39;s request waits so many seconds for news, and keeps a process of sogod busy</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">   meanwhile, so there must be more of them than phones that wait. The watchdog (minutes) must be more patient. */</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">SOGoMaximumPingInterval = 3540;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">SOGoMaximumSyncInterval = 3540;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">SOGoInternalSyncInterval = 30;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">WOWatchDogRequestTimeout = 60;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">WOWorkersCount = 30;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">/* Minutes between automatic saves of a message that is being written. */</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">SOGoMailAutoSave = 2;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">/* ---- mode trusted only: SOGo takes the user from its web server (nginx.conf), without a password of its own.</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">SOGoTrustProxyAuthentication = YES;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">   For IMAP it still needs one. Either the gateway passes the user&#39;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">s (nothing else to do), or a master password opens all</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">   mailboxes: </span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">then</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> the user source needs a column with Dovecot</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&#39;s master login (user*gateway), and the gateway</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">   sogo: { imap_password: ... }. SOGo keeps users in memcached: a SOGo that signs in otherwise needs a memcached of its own.</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">SOGoUserSources = ({</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">  type = sql; id = users; viewURL = &quot;postgresql://.../sogo_users&quot;; canAuthenticate = YES;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">  IMAPLoginFieldName = c_imapmaster;</span></span>
<span class="line"><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">}); */</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/sogo/sogo.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const sogo_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  sogo_conf as default
};
