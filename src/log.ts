import { pino, type Logger } from 'pino';

/**
 * Structured logs, one JSON line each, on standard error, so that what a command prints for people
 * stays alone on standard output. Secrets cannot slip in: whatever looks like one is cut by name,
 * and the code never hands a body, a prompt or an answer to a logger.
 */
export type Log = Logger;

export function createLog(level: string): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: [
          'secret',
          'apiKey',
          'masterKey',
          'authorization',
          'headers',
          'body',
          'connectionString',
          '*.apiKey',
          '*.secret',
          '*.password',
          'err.config',
        ],
        censor: '[redacted]',
      },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
