import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Refusal } from '../errors.ts';

/**
 * The built console at /ui, from memory. Its policy lets in nothing from elsewhere and nothing inline,
 * so what somebody slips into a page does not run.
 */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
};

interface ServedFile {
  readonly bytes: Buffer;
  /** Null for what is compressed already. */
  readonly zipped: Buffer | null;
  readonly mediaType: string;
  readonly etag: string;
  /** Its name changes with its content. */
  readonly immutable: boolean;
}

const PREFIX = '/ui/';
const INDEX = 'index.html';

export function consoleRoutes(app: FastifyInstance, dir: string): void {
  const files = new Map<string, ServedFile>();
  const load = (): ReadonlyMap<string, ServedFile> => {
    if (files.size === 0) for (const [name, file] of readFiles(dir)) files.set(name, file);
    return files;
  };
  const schema = { hide: true } as const;
  app.get('/ui', { schema }, (_request, reply) => reply.redirect(PREFIX, 308));
  app.get(`${PREFIX}*`, { schema }, (request, reply) => {
    const name = decodeURIComponent(request.url.split('?', 1)[0]!.slice(PREFIX.length));
    const found = load().get(name);
    // Every page of the console is the same document; a missing file is not.
    const file = found ?? (extname(name) === '' ? load().get(INDEX) : undefined);
    if (file === undefined) throw new Refusal('not_found', { what: 'file' });
    return send(request, reply, file);
  });
}

function readFiles(dir: string): [string, ServedFile][] {
  if (!existsSync(dir)) return [];
  const names = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && extname(entry.name) in MEDIA_TYPES)
    .map((entry) => join(entry.parentPath, entry.name));
  return names.map((path) => {
    const bytes = readFileSync(path);
    const ending = extname(path);
    const name = path.slice(dir.length + 1).replaceAll('\\', '/');
    const compressed = ending === '.woff2' || ending === '.png';
    return [
      name,
      {
        bytes,
        zipped: compressed ? null : gzipSync(bytes, { level: 9 }),
        mediaType: MEDIA_TYPES[ending]!,
        etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
        immutable: name.startsWith('assets/'),
      },
    ];
  });
}

function send(request: FastifyRequest, reply: FastifyReply, file: ServedFile): FastifyReply {
  void reply.headers({
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'content-type': file.mediaType,
    'cache-control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    etag: file.etag,
    vary: 'accept-encoding',
  });
  if (request.headers['if-none-match'] === file.etag) return reply.status(304).send();
  const zips = file.zipped !== null && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  if (zips) void reply.header('content-encoding', 'gzip');
  return reply.send(zips ? file.zipped : file.bytes);
}
