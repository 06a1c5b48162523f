import type { IncomingMessage } from 'node:http';
import { Refusal } from '../errors.ts';

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

/**
 * Reads a request's body, at most `bytesMax` of it. `then` is called once: with the body, or with a
 * Refusal(unsupported_media_type | body_too_large); not at all when the client leaves before.
 */
export function readBody(
  request: IncomingMessage,
  bytesMax: number,
  then: (refusal: Refusal | null, body: Buffer) => void,
): void {
  const {
    'content-type': type = '',
    'content-length': length,
    'content-encoding': encoding,
  } = request.headers;
  const wrongType = !JSON_TYPE.test(type) || (encoding !== undefined && encoding !== 'identity');
  if (Number(length ?? 0) > bytesMax) return then(tooLarge(bytesMax), EMPTY);
  if (wrongType) return then(new Refusal('unsupported_media_type'), EMPTY);
  const parts: Buffer[] = [];
  let bytes = 0;
  let over = false;
  request.on('data', (part: Buffer) => {
    if (over) return;
    bytes += part.length;
    if (bytes > bytesMax) {
      over = true;
      parts.length = 0;
      then(tooLarge(bytesMax), EMPTY);
    } else parts.push(part);
  });
  request.on('end', () => {
    if (!over) then(null, parts.length === 1 ? parts[0]! : Buffer.concat(parts));
  });
}

const EMPTY = Buffer.alloc(0);

function tooLarge(limitBytes: number): Refusal {
  return new Refusal('body_too_large', { limitBytes });
}
