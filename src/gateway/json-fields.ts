import { Refusal } from '../errors.ts';

/** Readers of the members of a request that decide something. They throw Refusal(bad_request). */
export type Json = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text that Postgres can store and that means the same to everyone. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text);
}

export function readText(json: Json, name: string, lengthMax: number): string | null {
  const value = json[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'string' || value.length > lengthMax || !isStorable(value)) {
    throw wrong(name, `\`${name}\` must be a text of at most ${lengthMax} characters, without NUL.`);
  }
  return value;
}

export function readFlag(json: Json, name: string): boolean {
  const value = json[name] ?? false;
  if (typeof value !== 'boolean') throw wrong(name, `\`${name}\` must be true or false.`);
  return value;
}

export function readCount(json: Json, name: string, min: number, max: number): number | null {
  const value = json[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw wrong(name, `\`${name}\` must be a whole number from ${min} to ${max}.`);
  }
  return value;
}

export function requireTextOrList(json: Json, name: string): void {
  if (typeof json[name] !== 'string' && !Array.isArray(json[name])) {
    throw wrong(name, `\`${name}\` must be a text or a list.`);
  }
}

export function requireList(json: Json, name: string): void {
  if (!Array.isArray(json[name])) throw wrong(name, `\`${name}\` must be a list.`);
}

export function requireText(json: Json, name: string): void {
  if (typeof json[name] !== 'string') throw wrong(name, `\`${name}\` must be a text.`);
}

export function listIn(json: Json, name: string): readonly unknown[] {
  const value = json[name];
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

export function shown(name: string): string {
  return isStorable(name) ? name.slice(0, 64) : 'a name';
}

export function wrong(param: string, problem: string): Refusal {
  return new Refusal('bad_request', { problem }, param === '' ? {} : { param: shown(param) });
}
