import { createHmac } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { checkedAddress, ForbiddenAddress } from '../public-address.ts';

/**
 * Sends one message to an address that somebody typed: to public hosts over TLS alone, unless the
 * administrator named the host in the settings. Redirects are not followed, and of the answer only the
 * status is looked at.
 *
 * `x-keyledger-signature: t=<seconds>,v1=<hex>`, where v1 is the HMAC-SHA256 of `<seconds>.<body>` under
 * the target's secret. A receiver computes it over the bytes as they came, compares in constant time, and
 * refuses times that are more than a few minutes old.
 */
export interface WebhookMessage {
  readonly url: string;
  readonly secret: string;
  readonly body: string;
  /** Seconds since 1970. */
  readonly at: number;
  /** The same for every attempt. */
  readonly id: string;
  readonly allowedHosts: readonly string[];
}

export type WebhookResult =
  | { readonly kind: 'answered'; readonly status: number }
  /** It is not called at all, now or later. */
  | { readonly kind: 'forbidden'; readonly problem: string }
  | { readonly kind: 'failed'; readonly problem: string };

const ANSWER_MS_MAX = 10_000;

function signatureOf(secret: string, at: number, body: string): string {
  const digest = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex');
  return `t=${at},v1=${digest}`;
}

/** Null when the address may be kept as that of a webhook; else what is wrong with it. */
export function addressProblem(address: string, allowedHosts: readonly string[]): string | null {
  if (!URL.canParse(address)) return 'is not an address such as https://example.com/hook';
  const { protocol, hostname, username, password } = new URL(address);
  if (username !== '' || password !== '') return 'must not hold a user name or password';
  if (protocol === 'https:') return null;
  const isAllowed = allowedHosts.some((host) => host.toLowerCase() === hostname.replace(/^\[|\]$/g, ''));
  return protocol === 'http:' && isAllowed ? null : 'has to begin with https://';
}

export async function postWebhook(message: WebhookMessage): Promise<WebhookResult> {
  const { url, allowedHosts } = message;
  const problem = addressProblem(url, allowedHosts);
  if (problem !== null) return { kind: 'forbidden', problem: `the address ${problem}` };
  try {
    const checked = await checkedAddress(new URL(url).hostname, allowedHosts);
    return { kind: 'answered', status: await post(message, checked) };
  } catch (error) {
    const kind = error instanceof ForbiddenAddress ? 'forbidden' : 'failed';
    return { kind, problem: error instanceof Error ? error.message : String(error) };
  }
}

function post(
  { url, secret, body, at, id }: WebhookMessage,
  { address, family }: Awaited<ReturnType<typeof checkedAddress>>,
): Promise<number> {
  const target = new URL(url);
  const send = target.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const request = send(
      target,
      {
        method: 'POST',
        agent: false,
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
        // To the address that was looked at, and to no other that the name may have by now.
        lookup: (_host, options, found) => {
          if (options.all === true) found(null, [{ address, family }]);
          else found(null, address, family);
        },
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'keyledger',
          'x-keyledger-id': id,
          'x-keyledger-signature': signatureOf(secret, at, body),
        },
      },
      (response) => {
        response.destroy();
        resolve(response.statusCode ?? 0);
      },
    );
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isLate = error.name === 'TimeoutError' || error.name === 'AbortError';
      reject(
        new Error(
          isLate
            ? `no answer within ${ANSWER_MS_MAX / 1_000} s`
            : `not reached (${error.code ?? error.message})`,
        ),
      );
    });
    request.end(body);
  });
}
