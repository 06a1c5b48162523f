/**
 * Server-sent events as bytes. Events end with a blank line; lines end with LF or CRLF. Texts here
 * are Latin-1, one character per byte, so that nothing is decoded that only passes through, and a
 * character of several bytes may be cut anywhere.
 */
const LF = 10;
const CR = 13;

/** Collects pieces of a stream and gives out whole events. */
export interface EventCollector {
  /** The events that are complete with this piece, as one text; '' when none is. */
  push(chunk: Buffer): string;
  /** What came after the last complete event. */
  rest(): string;
  readonly restBytes: number;
}

export function eventCollector(): EventCollector {
  let parts: Buffer[] = [];
  let restBytes = 0;
  /** The last bytes of the rest, where the end of an event may have begun. */
  let seam: Buffer = NOTHING;

  function keep(chunk: Buffer): void {
    if (chunk.length === 0) return;
    parts.push(chunk);
    restBytes += chunk.length;
    seam =
      chunk.length >= SEAM_BYTES
        ? chunk.subarray(-SEAM_BYTES)
        : Buffer.concat([seam, chunk]).subarray(-SEAM_BYTES);
  }

  return {
    push(chunk) {
      const searched = restBytes === 0 ? chunk : Buffer.concat([seam, chunk]);
      const complete = completeLength(searched) - (searched.length - chunk.length);
      if (complete <= 0) {
        keep(chunk);
        return '';
      }
      const events = textOfBytes(parts, chunk.subarray(0, complete));
      parts = [];
      restBytes = 0;
      seam = NOTHING;
      keep(chunk.subarray(complete));
      return events;
    },
    rest: () => textOfBytes(parts, NOTHING),
    get restBytes() {
      return restBytes;
    },
  };
}

const NOTHING = Buffer.alloc(0);
const SEAM_BYTES = 3;

function textOfBytes(parts: readonly Buffer[], last: Buffer): string {
  return (parts.length === 0 ? last : Buffer.concat([...parts, last])).toString('latin1');
}

/** One past the last complete event; 0 when none is complete. */
function completeLength(bytes: Buffer): number {
  const end = bytes.length;
  // Nearly always, what arrives ends with an event.
  if (bytes[end - 1] === LF && (bytes[end - 2] === LF || (bytes[end - 2] === CR && bytes[end - 3] === LF)))
    return end;
  const plain = bytes.lastIndexOf('\n\n');
  const carriage = bytes.lastIndexOf('\n\r\n');
  return Math.max(plain === -1 ? 0 : plain + 2, carriage === -1 ? 0 : carriage + 3);
}

/** The single events of a text of complete ones, each with its blank line. */
export function splitEvents(text: string): readonly string[] {
  const events: string[] = [];
  let start = 0;
  for (let line = text.indexOf('\n'); line !== -1; line = text.indexOf('\n', line + 1)) {
    const next = text.charCodeAt(line + 1) === CR ? line + 2 : line + 1;
    if (text.charCodeAt(next) !== LF) continue;
    events.push(text.slice(start, next + 1));
    start = next + 1;
    line = next;
  }
  return events;
}

/** The data of an event as UTF-8 text; null when it has none, such as a comment that keeps the line open. */
export function dataOf(event: string): string | null {
  let data: string | null = null;
  for (const line of event.split(/\r?\n/)) {
    if (!line.startsWith('data:')) continue;
    const value = line.slice(line.startsWith('data: ') ? 6 : 5);
    data = data === null ? value : `${data}\n${value}`;
  }
  return data === null ? null : Buffer.from(data, 'latin1').toString('utf8');
}
