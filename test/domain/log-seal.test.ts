import { describe, test } from 'vitest';
import { logSeal, NO_SEAL } from '../../src/domain/log-seal.ts';
import { logKeyRotated, logSealed } from '../support/events.ts';
import { specification } from '../support/specification.ts';

const given = specification(logSeal);
const firstKey = logKeyRotated({ previousKeyId: null, previousSignature: null });
const first = logSealed({ after: 0n, position: 12n, previousSeal: NO_SEAL, hash: 'a'.repeat(64) });
const second = logSealed({ after: 12n, position: 41n, previousSeal: 'a'.repeat(64) });

describe('a seal', () => {
  test('continues the one before it', () => {
    given(firstKey).when({ type: 'seal', seal: first.data }).gives(first);
    given(firstKey, first).when({ type: 'seal', seal: second.data }).gives(second);
  });

  test('that somebody else took first is not taken again', () => {
    given(firstKey, first).when({ type: 'seal', seal: first.data }).gives();
    given(firstKey).when({ type: 'seal', seal: second.data }).gives();
    given(firstKey, first)
      .when({ type: 'seal', seal: { ...second.data, position: 12n } })
      .gives();
  });

  test('is signed with the key in force', () => {
    given().when({ type: 'seal', seal: first.data }).refuses('stream_changed');
    given(firstKey)
      .when({ type: 'seal', seal: { ...first.data, keyId: 'other' } })
      .refuses('stream_changed');
  });
});

describe('a key', () => {
  const next = logKeyRotated({ keyId: 'next', previousKeyId: firstKey.data.keyId });

  test('is handed over from the one in force', () => {
    given().when({ type: 'rotate-key', handOver: firstKey.data }).gives(firstKey);
    given(firstKey, first).when({ type: 'rotate-key', handOver: next.data }).gives(next);
    given(firstKey).when({ type: 'rotate-key', handOver: firstKey.data }).gives();
  });

  test('cannot follow one that is not in force', () => {
    given().when({ type: 'rotate-key', handOver: next.data }).refuses('stream_changed');
    given(firstKey, next)
      .when({
        type: 'rotate-key',
        handOver: logKeyRotated({ keyId: 'third', previousKeyId: firstKey.data.keyId }).data,
      })
      .refuses('stream_changed');
  });
});
