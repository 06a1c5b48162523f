/**
 * Figures of the console, measured in Chromium against the built program with its demo data: what is
 * loaded at first, when something is to be seen, and how long an interaction waits for the next
 * picture. `npm run bench:console [-- rounds]`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { complete, type DemoConsole, startDemoConsole } from './demo-console.ts';

const ROUNDS = Number(process.argv[2] ?? 7);
const ASSETS = fileURLToPath(new URL('../../ui/assets', import.meta.url));
const VIEW = { viewport: { width: 1440, height: 900 }, locale: 'en-GB' } as const;
const PAGES = ['/', '/keys', '/invoices', '/usage'] as const;

interface Load {
  readonly firstPaintMs: number;
  /** Until nothing is waited for any more. */
  readonly completeMs: number;
  /** Over the wire, headers included. */
  readonly bytes: number;
}

async function load(demo: DemoConsole, path: string): Promise<Load> {
  const context = await demo.open(VIEW);
  const page = await context.newPage();
  const began = performance.now();
  await page.goto(`${demo.url}/ui${path}`);
  await complete(page);
  const completeMs = performance.now() - began;
  await page.waitForTimeout(300);
  const [firstPaintMs, bytes] = (await page.evaluate(
    `[performance.getEntriesByName('first-contentful-paint')[0].startTime,
      [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .reduce((sum, { transferSize }) => sum + transferSize, 0)]`,
  )) as [number, number];
  await context.close();
  return { firstPaintMs, completeMs, bytes };
}

/** From the click or key to the next picture, as the browser itself counts it, in steps of 8 ms. */
const WATCH = `window.waits = []; new PerformanceObserver((list) => {
  for (const { duration, interactionId } of list.getEntries()) if (interactionId > 0) window.waits.push(duration);
}).observe({ type: 'event', durationThreshold: 16, buffered: true })`;

const interactions: Readonly<Record<string, (page: Page) => Promise<void>>> = {
  'open a page': (page) => page.getByRole('link', { name: 'Keys', exact: true }).click(),
  'type into a filter': (page) => page.getByLabel('Alias').pressSequentially('shop'),
  'open a dialog': (page) => page.getByRole('button', { name: 'Create key' }).click(),
  'close it': (page) => page.keyboard.press('Escape'),
};

async function interact(demo: DemoConsole): Promise<ReadonlyMap<string, number>> {
  const context = await demo.open(VIEW);
  const page = await context.newPage();
  await page.goto(`${demo.url}/ui/`);
  await complete(page);
  await page.evaluate(WATCH);
  const waits = new Map<string, number>();
  for (const [name, act] of Object.entries(interactions)) {
    await page.evaluate('window.waits = []');
    await act(page);
    await page.waitForTimeout(400);
    const seen = (await page.evaluate('window.waits')) as number[];
    // What the browser does not report took less than its threshold.
    waits.set(name, Math.max(16, ...seen));
  }
  await context.close();
  return waits;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function zippedKb(names: readonly string[]): string {
  const bytes = names.map((name) => gzipSync(readFileSync(join(ASSETS, name)), { level: 9 }).length);
  return (bytes.reduce((sum, size) => sum + size, 0) / 1_000).toFixed(0);
}

const assets = readdirSync(ASSETS);
const scripts = assets.filter((name) => name.endsWith('.js'));
const styles = assets.filter((name) => name.endsWith('.css'));
console.log(`scripts, all pages together: ${zippedKb(scripts)} kB gzip; styles: ${zippedKb(styles)} kB gzip`);

const demo = await startDemoConsole();
try {
  console.log(`\n| page | first contentful paint | complete | loaded |\n|---|---|---|---|`);
  for (const path of PAGES) {
    const loads: Load[] = [];
    for (let round = 0; round < ROUNDS; round += 1) loads.push(await load(demo, path));
    const of = (member: keyof Load) => median(loads.map((one) => one[member]));
    const [paint, complete] = [of('firstPaintMs'), of('completeMs')].map((ms) => `${ms.toFixed(0)} ms`);
    console.log(`| \`/ui${path}\` | ${paint} | ${complete} | ${(of('bytes') / 1_000).toFixed(0)} kB |`);
  }
  const rounds: ReadonlyMap<string, number>[] = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await interact(demo));
  console.log(`\n| interaction | until the next picture |\n|---|---|`);
  for (const name of Object.keys(interactions)) {
    const ms = median(rounds.map((waits) => waits.get(name) ?? NaN));
    console.log(`| ${name} | ${ms <= 16 ? '16 ms or less' : `${ms.toFixed(0)} ms`} |`);
  }
} finally {
  await demo.close();
}
