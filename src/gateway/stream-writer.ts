import type { ServerResponse } from 'node:http';
import { setHead } from './head.ts';

/**
 * The body of a streamed answer, written as Latin-1 text with its own chunk framing: one write per
 * piece, where Node would make four and join them with the next tick. Measured, it halves what a
 * piece costs.
 */
export interface ChunkedBody {
  /** False when the client is slow and 'drain' must be awaited. */
  write(text: string): boolean;
  end(text: string): void;
}

/** The head is sent together with the first piece. */
export function chunkedBody(response: ServerResponse, headers: () => string): ChunkedBody {
  // HTTP/1.0 knows no chunks: there, the end of the connection is the end of the answer.
  const framed = response.req.httpVersionMinor >= 1;
  const own =
    `content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n` +
    (framed ? 'transfer-encoding: chunked\r\n' : '');
  setHead(response, 200, own + headers(), !framed);
  response.chunkedEncoding = false;
  const frame = (text: string): string => (framed ? `${text.length.toString(16)}\r\n${text}\r\n` : text);
  return {
    write: (text) => (text === '' ? true : response.write(frame(text), 'latin1')),
    end(text) {
      const last = framed ? '0\r\n\r\n' : '';
      response.end((text === '' ? '' : frame(text)) + last, 'latin1');
    },
  };
}
