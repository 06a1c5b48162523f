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

/** `headers`: names and values in turn, safe to be sent, with one that tells where the body ends. */
export function setHead(response: ServerResponse, status: number, headers: readonly string[]): void {
  const unsent = response as unknown as Unsent;
  const known =
    unsent._header === null &&
    !unsent._last &&
    typeof unsent.shouldKeepAlive === 'boolean' &&
    typeof unsent._keepAliveTimeout === 'number';
  const { httpVersionMajor, httpVersionMinor, method } = response.req;
  if (!known || httpVersionMajor !== 1 || httpVersionMinor !== 1 || method === 'HEAD') {
    response.writeHead(status, [...headers]);
    return;
  }
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
  let closes = !unsent.shouldKeepAlive;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === 'connection') closes = true;
    else head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  }
  head += `Date: ${httpDate()}\r\n`;
  response.statusCode = status;
  unsent._header = head + (closes ? 'Connection: close\r\n\r\n' : keepAlive(unsent));
  unsent._last = closes;
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
