import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { Refusal } from '../errors.ts';
import { createFormParser } from './form-parser.ts';
import { wrong } from './json-fields.ts';
import type { FormBody } from './upstream.ts';

/**
 * A form with a file, passed through as it comes. Clients are free in the order of its fields, and
 * the model decides where the file goes, so what comes before the model's name is held, up to a
 * bound; from there on nothing is.
 */
export interface FormUpload {
  /** As the form names it; null when it does not. */
  readonly model: string | null;
  /** The form for the upstream, with its name for the model. Once. */
  body(model: string): FormBody;
  /** The client's form is wrong after all: called at most once, after `body`. */
  onWrong: ((refusal: Refusal) => void) | null;
}

export interface FormLimits {
  readonly bytesMax: number;
  /** Held in memory while the model's name is still to come. */
  readonly heldBytesMax: number;
}

/** `boundary` of a multipart content type; null for any other. */
function boundaryOf(contentType: string | undefined): string | null {
  const found = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(
    contentType ?? '',
  );
  return found === null ? null : (found[1] ?? found[2] ?? null);
}

/**
 * Reads a form until its model is known, or to its end. `then` is called once, with the upload or
 * with a Refusal(unsupported_media_type | body_too_large | bad_request).
 * `model`: what the path names; the form's own is then left out.
 */
export function readForm(
  request: IncomingMessage,
  model: string | null,
  { bytesMax, heldBytesMax }: FormLimits,
  then: (refusal: Refusal | null, form: FormUpload | null) => void,
): void {
  const boundary = boundaryOf(request.headers['content-type']);
  if (boundary === null) return then(new Refusal('unsupported_media_type'), null);
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) return then(tooLarge(bytesMax), null);
  let bytes = 0;
  let heldBytes = 0;
  let failed = false;
  /** Null stands where the model's name belongs. */
  let held: (Buffer | null)[] = [];
  let named = model;
  let told = false;
  let ended = false;
  let stream: Readable | null = null;

  const upload: FormUpload = {
    get model() {
      return named;
    },
    body(upstreamModel) {
      const name = Buffer.from(upstreamModel);
      stream = new Readable({ read: () => void request.resume() });
      for (const piece of held) stream.push(piece ?? name);
      held = [];
      if (ended) stream.push(null);
      return { contentType: `multipart/form-data; boundary=${boundary}`, bytes: stream };
    },
    onWrong: null,
  };

  function ready(): void {
    if (told) return;
    told = true;
    // Nothing more is read until somebody takes it.
    request.pause();
    then(null, upload);
  }

  function fail(refusal: Refusal): void {
    if (failed) return;
    failed = true;
    held = [];
    stream?.destroy();
    if (told) upload.onWrong?.(refusal);
    else then(refusal, null);
    told = true;
    request.resume();
  }

  function put(piece: Buffer | null): void {
    if (stream !== null) {
      if (!stream.destroyed && piece !== null && !stream.push(piece)) request.pause();
      return;
    }
    held.push(piece);
    heldBytes += piece?.length ?? 0;
    if (!told && heldBytes > heldBytesMax) fail(tooLarge(heldBytesMax));
  }

  const parser = createFormParser(boundary, {
    piece: put,
    field(name, value) {
      if (name !== 'model' || model !== null) return;
      if (named !== null) return fail(wrong('model', '`model` occurs twice.'));
      named = value;
    },
    modelPlace: () => put(null),
    dropsModel: model !== null,
  });
  if (model !== null) parser.addModel();

  request.on('data', (chunk: Buffer) => {
    if (failed) return;
    bytes += chunk.length;
    if (bytes > bytesMax) return fail(tooLarge(bytesMax));
    if (!parser.push(chunk)) return fail(wrong('', 'The form is not well-formed.'));
    if (named !== null) ready();
  });
  request.on('end', () => {
    if (failed) return;
    ended = true;
    if (!parser.complete) return fail(wrong('', 'The form ends early.'));
    if (stream !== null && !stream.destroyed) stream.push(null);
    ready();
  });
}

function tooLarge(limitBytes: number): Refusal {
  return new Refusal('body_too_large', { limitBytes });
}
