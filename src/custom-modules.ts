/**
 * Modules of the operator's own that have a say: who a request comes from, and whether a key is made.
 * They are named in the config file, run in the server's process and are trusted like it. A module
 * exports its function as `default`.
 *
 *     // key-policy.ts
 *     import type { CustomKeyGenerate } from 'keyledger/dist/src/custom-modules.js';
 *     const decide: CustomKeyGenerate = ({ fields }) =>
 *       fields.key_alias ? { decision: true } : { decision: false, message: 'Name the key.' };
 *     export default decide;
 */
import { existsSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { JsonObject } from './domain/json.ts';

/** What is asked for, as it was sent: the fields of `POST /key/generate`. */
export interface KeyRequest {
  readonly fields: JsonObject;
  readonly caller: {
    /** Null for keys of nobody. */
    readonly userId: string | null;
    /** proxy_admin, internal_user … */
    readonly role: string;
  };
  /** Such as `/key/generate`. */
  readonly route: string;
}

/** Refused keys are answered with 403 and the message. What throws is a failure of the server. */
export type CustomKeyGenerate = (request: KeyRequest) => KeyDecision | Promise<KeyDecision>;
export interface KeyDecision {
  readonly decision: boolean;
  readonly message?: string;
}

/** A request before anything else has looked at it. The body is not read yet. */
export interface AuthRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Of the connection; null when it is gone. */
  readonly remoteAddress: string | null;
}

/**
 * The virtual key (`sk-…`) that the request is served and billed with; null goes on with whatever
 * credential was sent. What throws refuses the request with 401; its message goes into the log alone.
 */
export type CustomAuth = (request: AuthRequest) => string | null | Promise<string | null>;

/** Null where none is named. */
export interface CustomModules {
  readonly generate: CustomKeyGenerate | null;
  readonly auth: CustomAuth | null;
}

/** Throws what loading a module throws. */
export async function customModules(settings: {
  readonly customGenerate: string | null;
  readonly customAuth: string | null;
}): Promise<CustomModules> {
  const { customGenerate, customAuth } = settings;
  return {
    generate: customGenerate === null ? null : await customModule(customGenerate, 'custom_key_generate'),
    auth: customAuth === null ? null : await customModule(customAuth, 'custom_auth'),
  };
}

/** Throws Error when there is no such file or it has no such function. `option` is named in it. */
async function customModule<F>(path: string, option: string): Promise<F> {
  if (!existsSync(path)) throw new Error(`${option}: there is no file ${path}`);
  if (path.endsWith('ts')) readTypeScript();
  const loaded = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
  if (typeof loaded.default !== 'function')
    throw new Error(`${option}: ${path} has no function as its default export`);
  return loaded.default as F;
}

let reads = false;

/** A hook for Node's loader: types are blanked out, nothing else is changed. */
const hooksWith = (stripper: string) => `
  import { readFile } from 'node:fs/promises';
  import stripper from ${JSON.stringify(stripper)};
  export async function load(url, context, nextLoad) {
    if (!/^file:.*[.]m?ts$/.test(url)) return await nextLoad(url, context);
    const text = await readFile(new URL(url), 'utf8');
    const { code } = await stripper.transform(text, { mode: 'strip-only', module: true });
    return { format: 'module', source: code, shortCircuit: true };
  }`;

/** Newer versions of Node read TypeScript by themselves. */
function readTypeScript(): void {
  if (reads || (process.features as { readonly typescript?: unknown }).typescript) return;
  reads = true;
  const stripper = pathToFileURL(createRequire(import.meta.url).resolve('@swc/wasm-typescript')).href;
  register(`data:text/javascript,${encodeURIComponent(hooksWith(stripper))}`);
}
