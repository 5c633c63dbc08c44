interface Picture {
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** How the operator's pages look. */
export interface Branding {
  /** The name of the service, as users know it. */
  readonly name: string;
  readonly logo?: Picture;
  /** In the place of the logo on a dark page. */
  readonly logoDark?: Picture;
  /** Whether pages are light, dark, or as each browser wants them. */
  readonly scheme: 'auto' | 'light' | 'dark';
  /** `#rrggbb`. */
  readonly accentColour: string;
  /** Shown under the form, for example help or legal notice. `href` is https:, http:, mailto: or a path. */
  readonly links: readonly { readonly label: string; readonly href: string }[];
  /** The language of browsers that ask for none that there is. */
  readonly defaultLocale: string;
}
