/**
 * What the simulated upstream does wrong, and when. A rule is `<fault>`, optionally followed by `@first:<n>`
 * (only the first n requests that reach the rule) or `@every:<n>` (each n-th). Several rules are separated by
 * `;`, and the first one that applies wins:
 *
 *   status:429:7           that status with an OpenAI-shaped error; `retry-after: 7` (a date works too)
 *   status:503@first:2     fails twice, then answers: what a retry needs to succeed
 *   reset                  the connection is reset before any header
 *   hang                   no answer, until the client goes away
 *   slow-headers:<ms>      the answer begins that much later
 *   redirect               307 to another host name, where followers are counted (`stats().redirectsFollowed`)
 *   html                   200 with a web page
 *   error-200              200 with an error object (in a stream: as its only event)
 *   empty-stream           200 with nothing in it
 *   hang-mid               half of the answer, then silence
 *   truncate               half of the answer, then the connection is closed: no end of body, no [DONE]
 *   cut-json               stops in the middle of a JSON object, then ends as if all were well
 *   big-line               one extra SSE event (or JSON field) of 10 MB
 *   no-usage               no usage at all
 *   usage-null             usage: null
 *   usage-twice            reported twice (two events; in JSON the member occurs twice)
 *   usage-huge:<variant>   huge (1e308, the default), nan, negative, over (twice the true completion tokens)
 *   none                   as it should be; an exception in front of a broader rule
 */

const PLAIN_KINDS = [
  'reset',
  'hang',
  'redirect',
  'html',
  'error-200',
  'empty-stream',
  'hang-mid',
  'truncate',
  'cut-json',
  'big-line',
  'no-usage',
  'usage-null',
  'usage-twice',
  'none',
] as const;
const USAGE_VARIANTS = ['huge', 'nan', 'negative', 'over'] as const;

export type UsageVariant = (typeof USAGE_VARIANTS)[number];

/** One variant per kind, so that a switch narrows. */
type PlainFault<K> = K extends string ? { readonly kind: K } : never;

export type Fault =
  | PlainFault<(typeof PLAIN_KINDS)[number]>
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter: string | null }
  | { readonly kind: 'slow-headers'; readonly delayMs: number }
  | { readonly kind: 'usage-huge'; readonly variant: UsageVariant };

export interface FaultRule {
  readonly fault: Fault;
  /** Whether the n-th request (from 1) that reaches this rule is hit. */
  readonly applies: (nth: number) => boolean;
}

/** Chooses the fault of the next request, null for none; counts the requests that reach each rule. */
export type FaultPicker = () => Fault | null;

export const NO_FAULT: Fault = { kind: 'none' };

/** Throws an Error that names the first rule it does not know. */
export function parseFaults(text: string): readonly FaultRule[] {
  const rules = text.split(';').map((rule) => rule.trim());
  return rules.filter((rule) => rule !== '').map(parseRule);
}

export function faultPicker(text: string): FaultPicker {
  const rules = parseFaults(text).map((rule) => ({ rule, reached: 0 }));
  return () => {
    for (const counted of rules) {
      counted.reached += 1;
      if (counted.rule.applies(counted.reached)) return counted.rule.fault;
    }
    return null;
  };
}

function parseRule(text: string): FaultRule {
  const [name = '', when, ...rest] = text.split('@');
  const fault = parseFault(name);
  if (fault === null || rest.length > 0) throw new Error(`unknown fault rule: ${text}`);
  if (when === undefined) return { fault, applies: () => true };
  const [word, count = ''] = when.split(':');
  const n = Number(count);
  if (!Number.isSafeInteger(n) || n < 1) throw new Error(`unknown fault rule: ${text}`);
  if (word === 'first') return { fault, applies: (nth) => nth <= n };
  if (word === 'every') return { fault, applies: (nth) => nth % n === 0 };
  throw new Error(`unknown fault rule: ${text}`);
}

function parseFault(text: string): Fault | null {
  const [kind = '', first = '', ...rest] = text.split(':');
  const plain = PLAIN_KINDS.find((known) => known === kind);
  if (plain !== undefined) return first === '' ? { kind: plain } : null;
  if (kind === 'status') {
    const status = Number(first);
    if (!Number.isSafeInteger(status) || status < 200 || status > 599) return null;
    return { kind, status, retryAfter: rest.length === 0 ? null : rest.join(':') };
  }
  if (rest.length > 0) return null;
  if (kind === 'slow-headers') {
    const delayMs = Number(first);
    return first !== '' && Number.isSafeInteger(delayMs) && delayMs >= 0 ? { kind, delayMs } : null;
  }
  if (kind === 'usage-huge') {
    const variant = first === '' ? 'huge' : USAGE_VARIANTS.find((known) => known === first);
    return variant === undefined ? null : { kind, variant };
  }
  return null;
}
