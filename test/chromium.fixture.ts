import { type Browser, chromium } from 'playwright-core';
import { release } from './programs.ts';
import { noteUse } from '../tools/tested-with.ts';

/** Starts Debian's Chromium without a window, with more flags if any are given. The caller closes it. */
export async function startChromium(...flags: readonly string[]): Promise<Browser> {
  if (release === undefined) noteUse(['chromium'], release);
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    // In the C locale, which a bare system has, Chromium saves a file with an umlaut in its name as "download".
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
    args: [
      // The tests run as root, which its sandbox refuses.
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...flags,
    ],
  });
}
