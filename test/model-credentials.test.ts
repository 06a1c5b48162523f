import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { credentialSeal, saltKeyOf } from '../src/model-credentials.ts';
import { readModel, splitParams } from '../src/model-params.ts';

const CANARY = 'sk-upstream-canary-1';
const seal = credentialSeal('salt');
const sealed = seal.seal('mod_1', { api_key: CANARY });

describe('credentials of a model', () => {
  test('come back for the same model under the same salt key, and look different every time', () => {
    expect(seal.open('mod_1', sealed)).toEqual({ api_key: CANARY });
    expect(seal.seal('mod_1', { api_key: CANARY })).not.toBe(sealed);
    expect(Buffer.from(sealed.split('.')[3]!, 'base64url').toString('latin1')).not.toContain(CANARY);
  });

  test('do not open for another model, under another key, or changed', () => {
    expect(() => seal.open('mod_2', sealed)).toThrow();
    expect(() => credentialSeal('other').open('mod_1', sealed)).toThrow('another LITELLM_SALT_KEY');
    const parts = sealed.split('.');
    for (const index of [2, 3]) {
      const bytes = Buffer.from(parts[index]!, 'base64url');
      bytes[0]! ^= 1;
      const changed = parts.with(index, bytes.toString('base64url')).join('.');
      expect(() => seal.open('mod_1', changed), `part ${index}`).toThrow();
    }
    expect(() => seal.open('mod_1', sealed.slice(0, -30))).toThrow();
    expect(() => seal.open('mod_1', 'v2.x.y.z')).toThrow('no known form');
  });

  test('are sealed under a key that is drawn once and is for its owner only', () => {
    const dir = mkdtempSync(join(tmpdir(), 'keyledger-salt-'));
    try {
      const drawn = saltKeyOf(undefined, dir);
      expect(drawn).toHaveLength(43);
      expect(saltKeyOf(undefined, dir)).toBe(drawn);
      expect(statSync(join(dir, 'salt-key')).mode & 0o777).toBe(0o600);
      expect(saltKeyOf('configured', dir)).toBe('configured');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('the parts of a model', () => {
  test('are in clear when they are known to be harmless, and nothing else is', () => {
    const params = {
      model: 'openai/x',
      rpm: 5,
      api_key: CANARY,
      aws_secret: CANARY,
      extra_headers: { a: CANARY },
    };
    const { plain, secret } = splitParams(params);
    expect(plain).toEqual({ model: 'openai/x', rpm: 5 });
    expect(secret).toEqual({ api_key: CANARY, aws_secret: CANARY, extra_headers: { a: CANARY } });
  });

  test.each([
    [1.5e-7, '0.00000015'],
    ['2E-6', '0.000002'],
    [3, '3'],
    ['0.5', '0.5'],
    [1e21, '1000000000000000000000'],
    ['12.5e1', '125'],
  ])('costs are kept as decimals: %s is %s', (sent, kept) => {
    expect(splitParams({ model: 'm', input_cost_per_token: sent }).plain['input_cost_per_token']).toBe(kept);
  });

  test.each([
    [{ model: 'm' }, 'api_base'],
    [{ model: 'm', api_base: 'ftp://x' }, 'api_base'],
    [{ model: 'm', api_base: 'https://user:pass@x/v1' }, 'api_base'],
    [{ model: 'm', api_base: 'https://x/v1?key=1' }, 'api_base'],
    [{ api_base: 'https://x/v1' }, 'model'],
    [{ model: 'm', api_base: 'https://x/v1', rpm: -1 }, 'rpm'],
    [{ model: 'm', api_base: 'https://x/v1', input_cost_per_token: -1 }, 'input_cost_per_token'],
    [{ model: 'm', api_base: 'https://x/v1', output_cost_per_token: 'free' }, 'output_cost_per_token'],
  ])('are refused when they cannot be served: %j', (params, fault) => {
    const read = readModel({ id: 'a', name: 'n', params, info: {} }, undefined);
    expect('problems' in read && read.problems[0]!.path).toBe(`litellm_params.${fault}`);
  });
});
