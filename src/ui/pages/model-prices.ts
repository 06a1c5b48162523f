/**
 * Costs of models: the API takes them per token, people write them per million. Both are moved as
 * texts, so that no digit is lost; '' stands for a cost that is not known.
 */
const PLACES = 6;

/** `0.00000025` → `0.25`. What is no amount is ''. */
export function perMillion(perToken: unknown): string {
  if (typeof perToken !== 'number' && typeof perToken !== 'string') return '';
  const text = String(perToken);
  const match = /^(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) return '';
  const [, whole = '', fraction = '', exponent = '0'] = match;
  return shifted(whole + fraction, whole.length + Number(exponent) + PLACES);
}

/** `0.25` → `0.00000025`; a decimal comma is taken too. Null when it is no amount of 0 or more. */
export function perToken(perMillionText: string): string | null {
  const match = /^(\d+)(?:[.,](\d+))?$/.exec(perMillionText.trim());
  if (match === null) return null;
  const [, whole = '', fraction = ''] = match;
  return shifted(whole + fraction, whole.length - PLACES);
}

/** The digits with the decimal point after the first `point` of them. */
function shifted(digits: string, point: number): string {
  const padded = point <= 0 ? `${'0'.repeat(1 - point)}${digits}` : digits.padEnd(point, '0');
  const at = Math.max(point, 1);
  const whole = padded.slice(0, at).replace(/^0+(?=\d)/, '');
  const fraction = padded.slice(at).replace(/0+$/, '');
  return fraction === '' ? whole : `${whole}.${fraction}`;
}
