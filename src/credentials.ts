import { Refusal } from './errors.ts';

/**
 * Where a request's secret is: one header of those that LiteLLM, OpenAI, Azure, Anthropic and
 * Google clients use. Node takes the first of two equal headers and keeps quiet about the second;
 * a proxy in front may have judged the other one, so whoever sends two is refused.
 */
const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  'x-litellm-api-key',
  'authorization',
  'api-key',
  'x-api-key',
  'x-goog-api-key',
  'ocp-apim-subscription-key',
]);
/** Sent twice, these mean different things to different readers. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set(['host', 'content-type', 'content-length']);

/**
 * The secret as sent, without its `Bearer `. `customHeader` (lower case) replaces the usual ones.
 * Throws Refusal(no_key | malformed_key | two_credentials | duplicate_header).
 */
export function readCredential(rawHeaders: readonly string[], customHeader: string | null = null): string {
  let found: string | null = null;
  let value = '';
  let singles = '';
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (customHeader === null ? CREDENTIAL_HEADERS.has(name) : name === customHeader) {
      if (found !== null) throw new Refusal('two_credentials', { headers: `${found}, ${name}` });
      found = name;
      value = rawHeaders[i + 1]!;
    } else if (SINGLE_HEADERS.has(name)) {
      if (singles.includes(`${name};`)) throw new Refusal('duplicate_header', { header: name });
      singles += `${name};`;
    }
  }
  if (found === null) throw new Refusal('no_key', {}, { param: 'None' });
  return withoutBearer(found, value.trim(), customHeader);
}

/** Whether any of them is there, however it is written. */
export function sendsCredential(rawHeaders: readonly string[], customHeader: string | null = null): boolean {
  return rawHeaders.some((text, index) => {
    if (index % 2 === 1) return false;
    const name = text.toLowerCase();
    return customHeader === null ? CREDENTIAL_HEADERS.has(name) : name === customHeader;
  });
}

function withoutBearer(header: string, value: string, customHeader: string | null): string {
  const match = /^bearer(?:\s+(.*))?$/i.exec(value);
  if (match !== null) {
    const secret = match[1]?.trim() ?? '';
    if (secret === '') throw new Refusal('no_key', {}, { param: 'None' });
    return secret;
  }
  if (value === '') throw new Refusal('no_key', {}, { param: 'None' });
  if (header === 'authorization' || header === customHeader)
    throw new Refusal('malformed_key', {}, { param: 'None' });
  return value;
}
