import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"Dovecot behind Postern","description":"","frontmatter":{},"headers":[],"relativePath":"files/integrations/dovecot/README.md","filePath":"files/integrations/dovecot/README.md"}');
const _sfc_main = { name: "files/integrations/dovecot/README.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="dovecot-behind-postern" tabindex="-1">Dovecot behind Postern <a class="header-anchor" href="#dovecot-behind-postern" aria-label="Permalink to &quot;Dovecot behind Postern&quot;">​</a></h1><p>Dovecot 2.4 reads another language than 2.3, so there is a folder for each: <a href="/files/integrations/dovecot/2.3/last-login.conf">2.3</a> (Debian 12) and <a href="/files/integrations/dovecot/2.4/last-login.conf">2.4</a> (Debian 13). <code>dovecot --version</code> says which one you have. Each file goes into <code>/etc/dovecot/conf.d/</code> under the name given; put in your own addresses and secrets.</p><table tabindex="0"><thead><tr><th>file</th><th>as</th><th>gives</th></tr></thead><tbody><tr><td><code>postern.conf</code> (<a href="/files/integrations/dovecot/2.3/postern.conf">2.3</a>, <a href="/files/integrations/dovecot/2.4/postern.conf">2.4</a>)</td><td><code>05-postern.conf</code></td><td>the browser&#39;s address in logs and penalties, master identities</td></tr><tr><td><code>restricted-master.conf</code> (<a href="/files/integrations/dovecot/2.3/restricted-master.conf">2.3</a>, <a href="/files/integrations/dovecot/2.4/restricted-master.conf">2.4</a>)</td><td><code>95-restricted-master.conf</code></td><td>read-only access for staff who open a mailbox (ACL)</td></tr><tr><td><code>last-login.conf</code> (<a href="/files/integrations/dovecot/2.3/last-login.conf">2.3</a>, <a href="/files/integrations/dovecot/2.4/last-login.conf">2.4</a>)</td><td><code>95-last-login.conf</code></td><td>when a mailbox was last opened, and by whom: the user, the gateway, staff</td></tr><tr><td><a href="/files/integrations/dovecot/proxy/postern.lua.html">postern.lua</a>, <code>proxy-*.conf</code> (<a href="/files/integrations/dovecot/proxy/proxy-2.3.conf">2.3</a>, <a href="/files/integrations/dovecot/proxy/proxy-2.4.conf">2.4</a>)</td><td><code>/etc/dovecot/postern.lua</code>, <code>95-proxy.conf</code></td><td>a Dovecot proxy for IMAP, POP3 and ManageSieve that asks <a href="/directory-service.html">the directory service</a></td></tr></tbody></table><p>Only <code>postern.conf</code> is needed in production. Master identities are in a file of their own, <code>/etc/dovecot/postern-master</code>, which only Dovecot may read: root:dovecot, mode 0640. <code>doveadm pw -s ARGON2ID</code> makes what stands behind the name.</p><p>From 2.3 to 2.4, two things change quietly. The file of global ACLs is gone (2.4.3 no longer has it): the rights are in the configuration. And the plugin acl of 2.4.1 takes a master user for the owner of the mailbox, with every right, unless the passdb of masters says <code>userdb_acl_user</code>, as <code>2.4/postern.conf</code> does.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("files/integrations/dovecot/README.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const README = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  README as default
};
