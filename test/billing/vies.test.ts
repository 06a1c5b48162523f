import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AskVies, viesClient } from '../../src/billing/vies.ts';

/** A stand-in that answers as the register does. */
let server: Server;
let ask: AskVies;
let answer: { readonly status: number; readonly body: string };
const asked: unknown[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      asked.push({ url: request.url, body: JSON.parse(text) });
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ask = viesClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => void server.close());

const VALID = {
  countryCode: 'AT',
  vatNumber: 'U12345678',
  requestDate: '2026-12-01T08:00:00.000Z',
  valid: true,
  requestIdentifier: 'WAPIAAAAW1',
  name: 'Wiener Studio GmbH',
  address: '---',
  userError: 'VALID',
};
const question = { vatId: 'ATU12345678', requester: 'DE811569869' };

function answers(body: unknown, status = 200): void {
  answer = { status, body: typeof body === 'string' ? body : JSON.stringify(body) };
}

describe('the register of VAT ids', () => {
  test('is asked with both ids, and its proof of the enquiry is kept', async () => {
    answers(VALID);
    expect(await ask(question)).toEqual({
      kind: 'answered',
      valid: true,
      requestDate: '2026-12-01T08:00:00.000Z',
      requestIdentifier: 'WAPIAAAAW1',
      name: 'Wiener Studio GmbH',
      address: null,
    });
    expect(asked.at(-1)).toEqual({
      url: '/check-vat-number',
      body: {
        countryCode: 'AT',
        vatNumber: 'U12345678',
        requesterMemberStateCode: 'DE',
        requesterNumber: '811569869',
      },
    });
  });

  test('says that an id is not valid', async () => {
    answers({ ...VALID, valid: false, userError: 'INVALID' });
    expect(await ask(question)).toMatchObject({ kind: 'answered', valid: false });
  });

  test.each([
    ['a member state is down', { ...VALID, valid: false, userError: 'MS_UNAVAILABLE' }, 200],
    ['it has too many requests', { ...VALID, valid: false, userError: 'MS_MAX_CONCURRENT_REQ' }, 200],
    ['it fails', { actionSucceed: false }, 500],
    ['it answers with something else', '<html>', 200],
    ['it answers with other JSON', { ok: true }, 200],
  ])('did not answer when %s: that is never "not valid"', async (_, body, status) => {
    answers(body, status);
    expect(await ask(question)).toMatchObject({ kind: 'unavailable' });
  });

  test('did not answer when it cannot be reached', async () => {
    const nobody = viesClient('http://127.0.0.1:1');
    expect(await nobody(question)).toEqual({ kind: 'unavailable', problem: 'it could not be reached' });
  });
});
