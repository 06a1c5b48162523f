import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

/** What axe holds to be a serious or critical barrier on the page as it is now, each with its first place. */
const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Result {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string | null;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

/** `only`: the rules to look at; all of them when left out. */
export async function barriers(page: Page, only?: readonly string[]): Promise<readonly string[]> {
  const rules = only === undefined ? '' : `, runOnly: ${JSON.stringify(only)}`;
  // Through the debugger, which no content policy binds.
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(source);
  const { violations } = (await page.evaluate(
    `axe.run(document, { resultTypes: ['violations']${rules} })`,
  )) as Result;
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)} ${nodes[0]?.failureSummary ?? ''}`);
}
