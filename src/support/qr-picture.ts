import { renderSVG } from 'uqr';
import type { Secret } from '../core/secret.ts';

/** A text as a QR code, for a page: an SVG of plain shapes, which needs no style and no script. It holds the text. */
export function qrPicture(text: Secret): string {
  return renderSVG(text.reveal(), { border: 2, ecc: 'M' });
}
