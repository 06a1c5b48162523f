/* oxlint-disable no-underscore-dangle -- the fields are node's */
import { type ServerResponse, STATUS_CODES } from 'node:http';

/**
 * The head of an answer as one text. Node checks and copies every header of every answer anew, and
 * the answers of this gateway have nearly thirty, with names that never change and values that are
 * checked where they come from: measured, that was a tenth of what a request costs. Node has no
 * public way to hand over a head that is finished, so this sets the field in which it keeps one; a
 * test compares the bytes with those of `writeHead`, and where Node is not as expected, `writeHead`
 * it is.
 */
interface Unsent {
  _header: string | null;
  _last: boolean;
  readonly shouldKeepAlive: boolean;
  /** Milliseconds. */
  readonly _keepAliveTimeout: number;
}

/**
 * `headers`: lines that end in CR and LF, their values safe to be sent, with one that tells where the
 * body ends. `closes`: the connection ends with the answer.
 */
export function setHead(response: ServerResponse, status: number, headers: string, closes = false): void {
  const unsent = response as unknown as Unsent;
  const known =
    unsent._header === null &&
    !unsent._last &&
    typeof unsent.shouldKeepAlive === 'boolean' &&
    typeof unsent._keepAliveTimeout === 'number';
  const { httpVersionMajor, httpVersionMinor, method } = response.req;
  if (!known || httpVersionMajor !== 1 || httpVersionMinor !== 1 || method === 'HEAD') {
    response.writeHead(status, [...pairsOf(headers), ...(closes ? ['connection', 'close'] : [])]);
    return;
  }
  const ends = closes || !unsent.shouldKeepAlive;
  response.statusCode = status;
  unsent._header =
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n${headers}Date: ${httpDate()}\r\n` +
    (ends ? 'Connection: close\r\n\r\n' : keepAlive(unsent));
  unsent._last = ends;
}

export function headerLine(name: string, value: string | number): string {
  return `${name}: ${value}\r\n`;
}

/** The lines as names and values in turn. */
export function pairsOf(headers: string): string[] {
  return headers
    .split('\r\n')
    .slice(0, -1)
    .flatMap((line) => {
      const colon = line.indexOf(': ');
      return [line.slice(0, colon), line.slice(colon + 2)];
    });
}

function keepAlive({ _keepAliveTimeout: ms }: Unsent): string {
  return ms >= 1_000
    ? `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(ms / 1_000)}\r\n\r\n`
    : 'Connection: keep-alive\r\n\r\n';
}

const date = { second: 0, text: '' };

function httpDate(): string {
  const second = Math.floor(Date.now() / 1_000);
  if (second !== date.second || date.text === '') {
    date.second = second;
    date.text = new Date().toUTCString();
  }
  return date.text;
}
