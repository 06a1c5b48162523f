import { describe, expect, test } from 'vitest';
import { deliveryGate, tokensAtMost } from '../../src/gateway/delivery-gate.ts';
import { countText } from '../../src/domain/tokens.ts';

const delta = (content: string): string =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content } }] })}\n\n`;

/** A spool that is on disk when the test says so. */
function held() {
  const asked: { readonly tokens: number; readonly go: (error: Error | null) => void }[] = [];
  const sent: string[] = [];
  const refused: string[] = [];
  const gate = deliveryGate(
    { deliver: (_, tokens, go) => void asked.push({ tokens, go }) },
    { requestId: 'r1', segment: 1 },
    { send: (events) => void sent.push(events), refused: ({ message }) => void refused.push(message) },
  );
  return { gate, asked, sent, refused };
}

describe('a streamed answer', () => {
  test('does not begin before the spool knows of it, and then loses nothing', () => {
    const { gate, asked, sent } = held();
    gate.push('one ');
    gate.push('two ');
    expect(sent).toEqual([]);
    asked[0]!.go(null);
    expect(sent).toEqual(['one two ']);
    gate.push('three');
    expect(sent).toEqual(['one two ', 'three']);
  });

  test('never goes further than the spool says, and asks for more before it has to wait', () => {
    const { gate, asked, sent } = held();
    asked[0]!.go(null);
    let delivered = 0;
    for (let i = 0; i < 2_000; i += 1) {
      const events = delta(`word ${i} `);
      const before = asked.length;
      gate.push(events);
      // Answered late, but never later than the next piece.
      for (const { go } of asked.slice(before)) go(null);
      delivered = sent.reduce((tokens, text) => tokens + tokensAtMost(text), 0);
      expect(delivered).toBeLessThanOrEqual(asked.at(-1)!.tokens);
    }
    expect(sent).toHaveLength(2_000);
    expect(asked.length).toBeLessThan(200);
  });

  test('stops where the spool fails', () => {
    const { gate, asked, sent, refused } = held();
    gate.push('one');
    asked[0]!.go(new Error('no space left'));
    expect(refused).toEqual(['no space left']);
    expect(sent).toEqual([]);
  });
});

describe('the tokens in a piece of a stream', () => {
  test.each([
    'Guten Tag, wir öffnen am Samstag um neun Uhr und schließen um achtzehn Uhr.',
    'The quick brown fox jumps over the lazy dog and then takes a long rest.',
    'x',
    '',
  ])('are not fewer than there are: %j', (text) => {
    expect(tokensAtMost(delta(text))).toBeGreaterThanOrEqual(countText(text));
  });

  test('are counted for every event, and for what is no text', () => {
    expect(tokensAtMost(delta('a') + delta('b'))).toBe(2 * tokensAtMost(delta('a')));
    const call =
      'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\\"city\\":"}}]}}]}\n\n';
    expect(tokensAtMost(call)).toBeGreaterThan(0);
  });
});
