import type { RequestHandler } from 'express';
import helmet from 'helmet';

/** Nothing inline, nothing from elsewhere, nobody may frame it. */
const contentSecurityPolicy = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'"],
  'form-action': ["'self'"],
  'base-uri': ["'none'"],
  'frame-ancestors': ["'none'"],
};

/**
 * Puts the security fields on every answer of our own pages.
 *
 * `same-origin` and not `no-referrer`: under the latter browsers send `Origin: null` with our own forms. No
 * Cross-Origin-Opener-Policy: a webmail's compose window that is led here must find its opener again afterwards.
 */
export function createSecurityHeaders(): RequestHandler {
  const fields = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: contentSecurityPolicy },
    crossOriginEmbedderPolicy: false,
    crossOriginOpenerPolicy: false,
    crossOriginResourcePolicy: { policy: 'same-origin' },
    originAgentCluster: false,
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: false },
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xFrameOptions: { action: 'deny' },
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  return (request, response, next) => {
    response.setHeader('Cache-Control', 'no-store');
    fields(request, response, next);
  };
}

/** The same fields for an answer that the data plane sends. `framedBy` names who may frame it. */
export function answerSecurityHeaders(framedBy: "'none'" | "'self'"): [name: string, value: string][] {
  const policy = { ...contentSecurityPolicy, 'frame-ancestors': [framedBy] };
  const directives = Object.entries(policy).map(([name, values]) => `${name} ${values.join(' ')}`);
  return [
    ['Content-Security-Policy', directives.join(';')],
    ['X-Content-Type-Options', 'nosniff'],
    ['X-Frame-Options', framedBy === "'self'" ? 'SAMEORIGIN' : 'DENY'],
    ['Referrer-Policy', 'same-origin'],
    ['Cache-Control', 'no-store'],
  ];
}
