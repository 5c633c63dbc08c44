import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"webmail.conf","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/apache/webmail.conf.md","filePath":"files/integrations/apache/webmail.conf.md"}');
const _sfc_main = { name: "files/integrations/apache/webmail.conf.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="webmail-conf" tabindex="-1">webmail.conf <a class="header-anchor" href="#webmail-conf" aria-label="Permalink to &quot;webmail.conf&quot;">​</a></h1><p><code>integrations/apache/webmail.conf</code> of the project:</p><div class="language-nginx vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">nginx</span><pre class="shiki shiki-themes github-light github-dark vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># Apache 2.4 of a backend with Roundcube or Horde (PHP), behind Postern.</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;"># a2enmod alias dir proxy proxy_fcgi setenvif</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&lt;</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">VirtualHost</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> *:80&gt;</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Debian&#39;s Roundcube. Of a release from roundcube.net it is public_html, too: 1.7 is served from nowhere else.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    DocumentRoot</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> /var/lib/roundcube/public_html</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    DirectoryIndex</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> index.php</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">Directory</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/var/lib/roundcube/public_html&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&gt;</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">        # Roundcube&#39;s .htaccess says how long files may be kept.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">        AllowOverride</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> All</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;/Directory&gt;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Hidden files, and copies of scripts that editors and packages leave behind: PHP does not run them, so they would be</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # sent as they are, with their passwords.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    RedirectMatch</span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;"> 404</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/\\.(?!well-known/)|\\.php[^/\\w][^/]*$&quot;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Only gateways get in: a user who found this address would meet the webmail&#39;s own form, without penalty and audit.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">Location</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;/&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&gt;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">        Require</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> ip </span><span style="--shiki-light:#005CC5;--shiki-dark:#79B8FF;">10.0.0.21</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 10.0.0.22</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;/Location&gt;</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Redirects and cookies as the browser sees the site. What comes from elsewhere does not get here.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    SetEnvIf</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> X-Forwarded-Proto </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;^https$&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> HTTPS=on</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Longer than the gateway keeps an idle connection (webmail_keep_alive, 4 s): Apache&#39;s default of 5 s is just enough,</span></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # this is safe.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    KeepAlive</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> On</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    KeepAliveTimeout</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 30</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    MaxKeepAliveRequests</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 0</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # As large as the largest mail, here and in PHP (upload_max_filesize, post_max_size). 0: no limit of Apache&#39;s own.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    LimitRequestBody</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 67108864</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # No mod_remoteip here: it would hide the gateway from the plugin postern, and Roundcube has proxy_whitelist.</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # DAV and other clients that send passwords: PHP gets the field only if it is asked to.</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    SetEnvIf</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> Authorization </span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;">&quot;(.*)&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> HTTP_AUTHORIZATION=$1</span></span>
<span class="line"></span>
<span class="line"><span style="--shiki-light:#6A737D;--shiki-dark:#6A737D;">    # Debian&#39;s name for the newest PHP: 8.2 on Debian 12, 8.4 on Debian 13.</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;</span><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">FilesMatch</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;\\.php$&quot;</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&gt;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">        SetHandler</span><span style="--shiki-light:#032F62;--shiki-dark:#9ECBFF;"> &quot;proxy:unix:/run/php/php-fpm.sock|fcgi://localhost/&quot;</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">    &lt;/FilesMatch&gt;</span></span>
<span class="line"><span style="--shiki-light:#D73A49;--shiki-dark:#F97583;">    ProxyTimeout</span><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;"> 180</span></span>
<span class="line"><span style="--shiki-light:#24292E;--shiki-dark:#E1E4E8;">&lt;/VirtualHost&gt;</span></span></code></pre></div></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/apache/webmail.conf.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const webmail_conf = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  webmail_conf as default
};
