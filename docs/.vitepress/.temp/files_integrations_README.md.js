import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"Samples for backends","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/README.md","filePath":"files/integrations/README.md"}');
const _sfc_main = { name: "files/integrations/README.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="samples-for-backends" tabindex="-1">Samples for backends <a class="header-anchor" href="#samples-for-backends" aria-label="Permalink to &quot;Samples for backends&quot;">​</a></h1><p>These files tell mailbox servers and their web servers about the gateways. You can include each file as it is, once you have put in your own addresses (10.0.0.21 and 10.0.0.22 stand for two gateways) and secrets. You need none of them to try Postern with a webmail&#39;s own sign-in form; for production, you need <code>dovecot/*/postern.conf</code>.</p><table tabindex="0"><thead><tr><th>file</th><th>for</th><th>gives</th></tr></thead><tbody><tr><td><a href="/files/integrations/dovecot/README.html">dovecot</a></td><td>Dovecot 2.3 and 2.4</td><td>the browser&#39;s address in logs and penalties, master identities, read-only staff, last logins; a proxy that asks Postern</td></tr><tr><td><a href="/files/integrations/cyrus/imapd.conf">cyrus/imapd.conf</a></td><td>Cyrus IMAP 3.6 to 3.10</td><td>entry without a password (<code>proxyservers</code>)</td></tr><tr><td><a href="/files/integrations/roundcube/config.inc.php.html">roundcube/config.inc.php</a></td><td>Roundcube 1.6, 1.7</td><td>the browser&#39;s address, session times</td></tr><tr><td><a href="/files/integrations/roundcube/postern/README.html">roundcube/postern</a></td><td>Roundcube 1.6, 1.7</td><td>the plugin: sessions that the gateway recognises, sign-in without a password</td></tr><tr><td><a href="/files/integrations/sogo/sogo.conf">sogo/sogo.conf</a>; <a href="/files/integrations/sogo/nginx.conf">sogo/nginx.conf</a> or <a href="/files/integrations/sogo/apache.conf">sogo/apache.conf</a></td><td>SOGo 5.8 to 5.12</td><td>both ways to sign in; calendars, address books, phones (ActiveSync); headers of 4 KB and more</td></tr><tr><td><a href="/files/integrations/horde/conf.local.php.html">horde/conf.local.php</a></td><td>Horde 5, IMP 6</td><td>settings that a gateway in front requires, and sign-in by trusted fields</td></tr><tr><td><a href="/files/integrations/horde/hooks.php.html">horde/hooks.php</a></td><td>Horde 5, IMP 6, Dovecot</td><td>sign-in by a master user to the user&#39;s own account</td></tr><tr><td><a href="/files/integrations/nginx/webmail.conf">nginx/webmail.conf</a>, <a href="/files/integrations/apache/webmail.conf">apache/webmail.conf</a></td><td>the web server of a backend (nginx: Roundcube)</td><td>access for gateways only, and to no settings; large messages; keep-alive</td></tr></tbody></table></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/README.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const README = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  README as default
};
