import { join } from 'node:path';
import type { KeySource } from '../audit/signing-key.ts';
import type { Config } from '../config.ts';
import { type Installation, openInstallation } from '../installation.ts';
import type { Log } from '../log.ts';

/** What every command gets: settings, arguments, and where to print. */
export interface CommandContext {
  readonly config: Config;
  readonly log: Log;
  /** Folder of package.json. */
  readonly root: string;
  readonly version: string;
  /** Words after the command's name. */
  readonly args: readonly string[];
  readonly options: {
    readonly json: boolean;
    readonly at?: string | undefined;
    readonly agency?: string | undefined;
    /** First and last position. */
    readonly from?: string | undefined;
    readonly to?: string | undefined;
    /** A bundle to check without an installation. */
    readonly offline?: string | undefined;
    /** File with a public key in PEM. */
    readonly publicKey?: string | undefined;
    /** Hashes that must be there. */
    readonly expect: readonly string[];
    readonly tenant?: string | undefined;
    readonly key?: string | undefined;
    readonly invoice?: string | undefined;
    readonly all: boolean;
    /** File to write to. */
    readonly out?: string | undefined;
    /** Which kind of file. */
    readonly format?: string | undefined;
    readonly force: boolean;
    /** Says what would be done, and does nothing. */
    readonly dryRun: boolean;
    /** How many processes serve. */
    readonly workers?: string | undefined;
  };
  /** A line of the result, on standard output. */
  readonly say: (line: string) => void;
  /** Text or bytes on standard output as they are; resolves when more can be taken. */
  readonly put: (text: string | Uint8Array) => Promise<void>;
  /** Overwrites the progress line when somebody is watching. */
  readonly progress: (line: string) => void;
  /** From the first call on, signals that ask the process to stop no longer end it by themselves. */
  readonly signals: () => StopSignals;
  /** Ends the process, whatever is under way. */
  readonly exit: (code: number) => never;
}

/** Each resolves with the signal's name. */
export interface StopSignals {
  /** Asked to stop. */
  readonly stopped: Promise<string>;
  /** Asked again, because stopping in order takes too long for whoever asks. */
  readonly hurried: Promise<string>;
}

/** Opens the installation beside a running server, or alone, for the time of `work`. */
export async function withInstallation(
  context: CommandContext,
  work: (installation: Installation) => Promise<number>,
  { creates = false }: { readonly creates?: boolean } = {},
): Promise<number> {
  const installation = await openInstallation({
    config: context.config,
    log: context.log,
    migrationsDir: join(context.root, 'migrations'),
    applicationName: 'keyledger-command',
    adopts: false,
    creates,
    say: (line) => context.log.info(line),
  });
  try {
    return await work(installation);
  } finally {
    await installation.close();
  }
}

/** Where the key that signs seals comes from. */
export function keySource({ settings, dataDir }: Config): KeySource {
  const { AUDIT_SIGNING_KEY: configured = null, AUDIT_SIGNING_KEY_PREVIOUS: previous = null } = settings;
  return { configured, previous, dataDir };
}

/** JSON with bigints as decimal strings, indented for people. */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, member: unknown) => (typeof member === 'bigint' ? String(member) : member),
    2,
  );
}

export function usage(context: CommandContext, text: string): number {
  context.say(`usage: keyledger ${text}`);
  return 2;
}
