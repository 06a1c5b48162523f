/**
 * Takes a multipart form apart as it comes (RFC 7578) and gives it out again, part by part, with a
 * place where the model's name stood. Bytes of files are passed on as soon as they cannot be part
 * of a boundary; fields are read whole.
 */
export interface FormHandler {
  /** Bytes of the form for the upstream. */
  piece(bytes: Buffer): void;
  field(name: string, value: string): void;
  /** Here the model's name belongs. */
  modelPlace(): void;
  /** The form's own model is left out. */
  readonly dropsModel: boolean;
}

export interface FormParser {
  /** False when the form is not well-formed. */
  push(chunk: Buffer): boolean;
  /** Adds a field with the model. Only before the first `push`. */
  addModel(): void;
  readonly complete: boolean;
}

const HEAD_BYTES_MAX = 8_192;
const FIELD_BYTES_MAX = 65_536;
const PARTS_MAX = 64;
const END_OF_HEAD = '\r\n\r\n';

interface Part {
  readonly name: string;
  readonly isFile: boolean;
  readonly head: string;
}

export function createFormParser(boundary: string, handler: FormHandler): FormParser {
  const opening = Buffer.from(`--${boundary}`);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  let pending: Buffer = Buffer.from('\r\n');
  let state: 'preamble' | 'after-delimiter' | 'head' | 'body' | 'done' = 'preamble';
  let part: Part | null = null;
  let value: Buffer[] = [];
  let valueBytes = 0;
  let parts = 0;

  function text(piece: string): void {
    handler.piece(Buffer.from(piece, 'latin1'));
  }

  function begin(head: string): boolean {
    const name = /(?:^|\r\n)content-disposition:\s*form-data\s*;[^\r\n]*?\bname="([^"\r\n]{1,200})"/i.exec(
      head,
    )?.[1];
    if (name === undefined) return false;
    part = { name, isFile: /;\s*filename\*?=/i.test(head), head };
    value = [];
    valueBytes = 0;
    if (part.isFile) text(`${opening.toString('latin1')}\r\n${head}${END_OF_HEAD}`);
    return true;
  }

  /** False when a field is too large. */
  function take(bytes: Buffer): boolean {
    if (bytes.length === 0) return true;
    if (part!.isFile) handler.piece(bytes);
    else {
      value.push(bytes);
      valueBytes += bytes.length;
    }
    return valueBytes <= FIELD_BYTES_MAX;
  }

  function end(): void {
    const { name, isFile, head } = part!;
    if (isFile) return text('\r\n');
    const bytes = Buffer.concat(value);
    handler.field(name, bytes.toString('utf8'));
    if (name !== 'model') {
      text(`${opening.toString('latin1')}\r\n${head}${END_OF_HEAD}`);
      handler.piece(bytes);
      return text('\r\n');
    }
    if (!handler.dropsModel) addModel();
  }

  function addModel(): void {
    text(`${opening.toString('latin1')}\r\nContent-Disposition: form-data; name="model"${END_OF_HEAD}`);
    handler.modelPlace();
    text('\r\n');
  }

  /** One step; null when more bytes are needed, false when the form is wrong. */
  function step(): boolean | null {
    if (state === 'preamble' || state === 'body') {
      const at = pending.indexOf(delimiter);
      const safe = at === -1 ? Math.max(pending.length - delimiter.length + 1, 0) : at;
      if (state === 'body' && !take(pending.subarray(0, safe))) return false;
      if (state === 'preamble' && safe > HEAD_BYTES_MAX) return false;
      pending = pending.subarray(at === -1 ? safe : at + delimiter.length);
      if (at === -1) return null;
      if (state === 'body') end();
      state = 'after-delimiter';
      return true;
    }
    if (state === 'after-delimiter') {
      if (pending.length < 2) return null;
      const mark = pending.subarray(0, 2).toString('latin1');
      if (mark !== '--' && mark !== '\r\n') return false;
      state = mark === '--' ? 'done' : 'head';
      if (state === 'done') text(`${opening.toString('latin1')}--\r\n`);
      parts += 1;
      pending = pending.subarray(2);
      return parts <= PARTS_MAX;
    }
    if (state === 'done') {
      pending = Buffer.alloc(0);
      return null;
    }
    const at = pending.indexOf(END_OF_HEAD);
    if (at === -1) return pending.length > HEAD_BYTES_MAX ? false : null;
    if (at > HEAD_BYTES_MAX || !begin(pending.subarray(0, at).toString('latin1'))) return false;
    pending = pending.subarray(at + END_OF_HEAD.length);
    state = 'body';
    // An empty value: its delimiter follows at once.
    return true;
  }

  return {
    push(chunk) {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      for (let more = step(); more !== null; more = step()) if (!more) return false;
      return true;
    },
    addModel,
    get complete() {
      return state === 'done';
    },
  };
}
