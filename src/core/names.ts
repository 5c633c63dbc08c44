/** A login name after normalisation: lower case, with a domain, free of control and format characters. */
export type LoginName = string & { readonly __brand: 'LoginName' };

/** The one spelling of a user after normalisation and aliases. Every key, log line and count uses it. */
export type CanonicalUser = string & { readonly __brand: 'CanonicalUser' };

/** The name of a configured backend. Only the configuration turns it into addresses. */
export type BackendName = string & { readonly __brand: 'BackendName' };
