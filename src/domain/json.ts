/**
 * JSON as the log stores it. Canonical form (RFC 8785 in spirit): keys sorted, no white space, so
 * that the same facts always give the same bytes and the same hash. It reads back to the same bytes:
 * what would not is refused with a TypeError. Amounts travel as strings, never as fractions.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = { readonly [name: string]: Json };

/** Deeper JSON is somebody's attack on a recursive reader. */
export const JSON_DEPTH_MAX = 64;

/** Most strings: nothing in them needs an escape. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * Compact JSON with sorted keys; bigints as decimal strings, `undefined` members left out. Throws
 * TypeError for what JSON cannot hold, for objects that are more than their members (a Date, a Map),
 * for a member named `__proto__`, which readers drop, and for more than JSON_DEPTH_MAX levels.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0);
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `"${value}"`;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('JSON has no such number');
      return JSON.stringify(value);
    case 'object':
      if (depth === JSON_DEPTH_MAX) throw new TypeError(`JSON of more than ${JSON_DEPTH_MAX} levels`);
      if (value === null) return 'null';
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1);
    default:
      throw new TypeError(`JSON cannot hold a ${typeof value}`);
  }
}

function writeArray(values: readonly unknown[], depth: number): string {
  let text = '[';
  for (let i = 0; i < values.length; i += 1) text += (i === 0 ? '' : ',') + write(values[i], depth);
  return `${text}]`;
}

function writeObject(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError('JSON can only hold plain objects');
  }
  const members = value as Readonly<Record<string, unknown>>;
  let text = '{';
  for (const name of sortedNames(members)) {
    const member = members[name];
    if (member === undefined) continue;
    if (name === '__proto__') throw new TypeError('JSON members cannot be named __proto__');
    text += `${text.length === 1 ? '' : ','}${quote(name)}:${write(member, depth)}`;
  }
  return `${text}}`;
}

/** Most objects here are built in order, and looking costs less than sorting. */
function sortedNames(members: object): readonly string[] {
  const names = Object.keys(members);
  for (let i = 1; i < names.length; i += 1) if (names[i - 1]! > names[i]!) return names.toSorted();
  return names;
}

/** A text as JSON; what needs no escape, which is most, is only put in quotes. */
export function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}
