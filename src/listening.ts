import type { Config } from './config.ts';

/** What a slow or malicious client may take: see the anchors of Node's own defaults. */
export const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 65_000,
};

/** Throws what kept the server from listening. */
export function listeningFailed(error: unknown, { settings }: Config): never {
  if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
  throw new Error(`Port ${settings.PORT} is taken. Stop the other program, or set PORT.`, { cause: error });
}
