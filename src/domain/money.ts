/**
 * Money. An amount is a bigint count of nanos (one billionth of the currency's unit: 1 EUR =
 * 1_000_000_000n). A rate is nanos per million tokens.
 *
 * There is one rounding rule, half up (away from zero), and three places that apply it:
 * - a price rate is made whole per token when a price table is made (`priceRate`), so that every
 *   price afterwards is an exact product and never rounded again;
 * - what a request costs us at the upstream is rounded to a whole nano once per request and unit;
 * - an invoice line is rounded to cents once (`toCents`), and VAT once per rate.
 */
export const NANOS_PER_UNIT = 1_000_000_000n;
export const NANOS_PER_CENT = 10_000_000n;
export const TOKENS_PER_RATE = 1_000_000n;

/** Divides and rounds half away from zero. `divisor` is positive. */
export function divideHalfUp(dividend: bigint, divisor: bigint): bigint {
  const twice = dividend * 2n;
  return dividend < 0n ? -((-twice + divisor) / (divisor * 2n)) : (twice + divisor) / (divisor * 2n);
}

/**
 * Reads a decimal such as "12.34", "-0.000001" or "1e-7" exactly.
 * Throws RangeError when it is not a number or has more than nine decimals.
 */
export function parseNanos(text: string): bigint {
  const { digits, divisor } = parseScaled(text, 9);
  if (digits % divisor !== 0n) throw new RangeError(`more than nine decimals: ${text}`);
  return digits / divisor;
}

/** The value of a decimal times 10^decimals, as a fraction. */
function parseScaled(text: string, decimals: number): { readonly digits: bigint; readonly divisor: bigint } {
  const match = /^(-?)(\d{1,30})(?:\.(\d{1,30}))?(?:[eE]([+-]?\d{1,2}))?$/.exec(text.trim());
  if (match === null) throw new RangeError(`not a decimal amount: ${text}`);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const shift = decimals + Number(exponent) - fraction.length;
  const digits = BigInt(`${sign}${whole}${fraction}`);
  return shift >= 0
    ? { digits: digits * 10n ** BigInt(shift), divisor: 1n }
    : { digits, divisor: 10n ** BigInt(-shift) };
}

/** "12.34", "0.000105", "0": the shortest exact decimal, at least `decimals` after the point. */
export function formatNanos(nanos: bigint, decimals = 0): string {
  const absolute = nanos < 0n ? -nanos : nanos;
  const whole = absolute / NANOS_PER_UNIT;
  const fraction = (absolute % NANOS_PER_UNIT)
    .toString()
    .padStart(9, '0')
    .replace(/0+$/, '')
    .padEnd(decimals, '0');
  return `${nanos < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/** "12.34" from 1234 cents. */
export function formatCents(cents: bigint): string {
  return formatNanos(cents * NANOS_PER_CENT, 2);
}

/** Rounds to whole cents, half up. Only invoice lines do this, once each. */
export function toCents(nanos: bigint): bigint {
  return divideHalfUp(nanos, NANOS_PER_CENT);
}

/** The number LiteLLM-shaped JSON carries. For display and comparison at the edge only. */
export function nanosToNumber(nanos: bigint): number {
  return Number(formatNanos(nanos));
}

/**
 * The amount a JSON number or decimal string means. A float's shortest decimal form is what its
 * writer typed, so nothing is lost up to nine decimals; what is finer is rounded half up.
 */
export function nanosFromNumber(value: number | string): bigint {
  const { digits, divisor } = parseScaled(String(value), 9);
  return divideHalfUp(digits, divisor);
}

/** The rate that a price per single token means, such as 0.00000015 or "1.5e-7". */
export function rateFromPerToken(value: number | string): bigint {
  const { digits, divisor } = parseScaled(String(value), 15);
  return divideHalfUp(digits, divisor);
}

/** Nanos for so many tokens at a rate per million, rounded half up; exact for price rates. */
export function amountAt(rate: bigint, tokens: number): bigint {
  return divideHalfUp(rate * BigInt(tokens), TOKENS_PER_RATE);
}

/** A rate rounded up to whole nanos per token: no division of the tokens into lines comes to more. */
export function wholeRate(rate: bigint): bigint {
  return ((rate + TOKENS_PER_RATE - 1n) / TOKENS_PER_RATE) * TOKENS_PER_RATE;
}

/** A rate rounded half up to whole nanos per token, so that any number of tokens is priced exactly. */
export function priceRate(rate: bigint): bigint {
  return divideHalfUp(rate, TOKENS_PER_RATE) * TOKENS_PER_RATE;
}
