import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { readCredential } from './credentials.ts';
import type { CustomAuth } from './custom-modules.ts';
import { Refusal, refusalBody } from './errors.ts';
import type { Log } from './log.ts';
import { sameSecret } from './secrets.ts';

/**
 * Asks the operator's own module for the virtual key of every request that sends a credential, in
 * front of gateway and API alike: whoever reads the credential afterwards finds that key.
 */
export function withCustomAuth(
  next: RequestListener,
  auth: CustomAuth | null,
  {
    keyHeader,
    masterKey,
    log,
  }: { readonly keyHeader: string | null; readonly masterKey: string; readonly log: Pick<Log, 'warn'> },
): RequestListener {
  if (auth === null) return next;
  async function judge(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const secret = await answered(request, auth!);
      if (secret !== null) carry(request, keyHeader, secret);
    } catch (error) {
      const problem = error instanceof Error ? error.message : 'it threw something';
      log.warn({ problem }, 'custom_auth refused a request');
      return refuse(response);
    }
    next(request, response);
  }

  return (request, response) => {
    if (passes(request, keyHeader, masterKey)) return next(request, response);
    void judge(request, response);
  };
}

/** What needs no key, or is the administrator, is none of the module's business; nor is what is malformed. */
function passes(request: IncomingMessage, keyHeader: string | null, masterKey: string): boolean {
  try {
    return sameSecret(readCredential(request.rawHeaders, keyHeader), masterKey);
  } catch (error) {
    return !(error instanceof Refusal && error.code === 'malformed_key');
  }
}

async function answered(request: IncomingMessage, auth: CustomAuth): Promise<string | null> {
  return await auth({
    method: request.method ?? '',
    url: request.url ?? '',
    headers: { ...request.headers },
    remoteAddress: request.socket.remoteAddress ?? null,
  });
}

const CREDENTIALS =
  /^(authorization|x-litellm-api-key|api-key|x-api-key|x-goog-api-key|ocp-apim-subscription-key)$/i;

function carry(request: IncomingMessage, keyHeader: string | null, secret: string): void {
  const name = keyHeader ?? 'authorization';
  const raw = request.rawHeaders;
  for (let i = raw.length - 2; i >= 0; i -= 2) {
    const header = raw[i]!.toLowerCase();
    if (header !== name && !(keyHeader === null && CREDENTIALS.test(header))) continue;
    raw.splice(i, 2);
    delete request.headers[header];
  }
  raw.push(name, `Bearer ${secret}`);
  request.headers[name] = `Bearer ${secret}`;
}

function refuse(response: ServerResponse): void {
  const refusal = new Refusal('unknown_key', {}, { param: 'key' });
  response.writeHead(refusal.status, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(refusalBody(refusal)));
}
