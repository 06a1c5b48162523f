import * as fc from 'fast-check';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, test } from 'vitest';
import { countChat, countEmbeddingInput, countText } from '../../src/domain/tokens.ts';
import { runs } from '../support/runs.ts';

const PLAIN = { disallowedSpecial: new Set<string>() };
const reference = (text: string): number => countTokens(text, PLAIN);
/** Of the processors: a busy machine does not count. */
function millisecondsSince(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1_000;
}

/** Pseudo-random text, the same every time. */
function units(count: number, unit: (n: number) => number): string {
  let state = 1;
  const next = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor(state / 8);
  };
  return Array.from({ length: count }, () => String.fromCharCode(unit(next()))).join('');
}

describe('countText', () => {
  test('agrees with the reference encoder on any short text', () => {
    const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), fc.lorem());
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), fc.constantFrom('', ' ', '\n', "'s "), (texts, glue) => {
        const whole = texts.join(glue).replaceAll('\uFEFF', '');
        expect(countText(whole)).toBe(reference(whole));
      }),
      runs(300),
    );
  });

  test('agrees with the reference encoder on long prose, code and other scripts', () => {
    const paragraph =
      "The invoice for March wasn't paid; 1,234.56 EUR are due. Überweisung bis 31.12.\r\n\r\n";
    const code = 'for (let i = 0; i < items.length; i += 1) {\n\t\ttotal += items[i].price * 100;\n}\n';
    const other = '請求書の合計金額は税込みです。Итого к оплате: 42 рубля. المجموع 🧾🧾 ';
    for (const text of [paragraph, code, other, paragraph + code + other]) {
      const long = text.repeat(400);
      expect(countText(long)).toBe(reference(long));
    }
  });

  test('treats control tokens in a text as the text they are', () => {
    expect(countText('<|endoftext|>')).toBe(reference('<|endoftext|>'));
    expect(countText('<|endoftext|>')).toBeGreaterThan(1);
  });

  test('counts nothing as nothing', () => {
    expect(countText('')).toBe(0);
  });

  test('is off by at most one token per cut for one long run', () => {
    for (const run of ['a', ' ', '\n', '=', 'ab', 'Q', '漢']) {
      const text = run.repeat(4000 / run.length);
      const cuts = Math.ceil(text.length / 128);
      expect(Math.abs(countText(text) - reference(text))).toBeLessThanOrEqual(cuts);
    }
  });

  const hostile: Readonly<Record<string, string>> = {
    'one letter': 'a'.repeat(1_000_000),
    spaces: ' '.repeat(1_000_000),
    'line ends': '\n'.repeat(1_000_000),
    'random UTF-16': units(1_000_000, (n) => n % 65_536),
    'random letters': units(1_000_000, (n) => 97 + (n % 26)),
    'random ideographs': units(333_333, (n) => 0x4e00 + (n % 20_000)),
    'combining marks': '\u0301'.repeat(500_000),
  };
  for (const [name, text] of Object.entries(hostile)) {
    test(`takes no longer than a request may for a megabyte of ${name}, and never counts too low`, () => {
      const begun = process.cpuUsage();
      const tokens = countText(text);
      // Merged as one piece, any of these would take minutes.
      expect(millisecondsSince(begun)).toBeLessThan(2_000);
      const sample = text.slice(0, 4096);
      const density = reference(sample) / sample.length;
      expect(tokens).toBeGreaterThan(text.length * density * 0.9);
      expect(tokens).toBeLessThanOrEqual(Buffer.byteLength(text));
    });
  }
});

describe('countChat', () => {
  const hello = { role: 'user', content: 'Say hello to the team.' };

  test('is 3 per message + role + content, and 3 for the reply', () => {
    expect(countChat([hello])).toBe(3 + 3 + reference('user') + reference(hello.content));
    const system = { role: 'system', content: 'Be brief.' };
    expect(countChat([system, hello])).toBe(
      countChat([hello]) + 3 + reference('system') + reference('Be brief.'),
    );
  });

  test('adds a name and one token for it', () => {
    expect(countChat([{ ...hello, name: 'anna' }])).toBe(countChat([hello]) + reference('anna') + 1);
  });

  test('adds up text parts, and prices pictures by their detail', () => {
    expect(parts({ type: 'text', text: 'one' }, { type: 'text', text: 'two three' })).toBe(3);
    expect(parts({ type: 'image_url', image_url: { url: 'data:,', detail: 'low' } })).toBe(85);
    expect(
      parts({ type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(99_999)}` } }),
    ).toBe(1445);
  });

  test('counts tools and tool calls, more of them as more', () => {
    const tool = { type: 'function', function: { name: 'weather', parameters: { type: 'object' } } };
    const one = countChat([hello], [tool]);
    expect(one).toBeGreaterThan(countChat([hello]));
    expect(countChat([hello], [tool, tool])).toBeGreaterThan(one);
    const call = {
      role: 'assistant',
      content: null,
      tool_calls: [{ function: { name: 'weather', arguments: '{}' } }],
    };
    expect(countChat([call])).toBeGreaterThan(countChat([{ role: 'assistant', content: null }]));
  });

  test('survives whatever is in a request', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.jsonValue(), (messages, tools) => {
        expect(countChat(messages, tools)).toBeGreaterThanOrEqual(3);
      }),
    );
    const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000));
    expect(countChat([{ role: 'user', content: deep }], deep)).toBeGreaterThan(100_000);
  });

  test('bounds the work of a whole request, not only of each text', () => {
    const texts = Array.from({ length: 20_000 }, (_, i) => ({
      role: 'user',
      content: `${i}qzxjkvwp`.repeat(10),
    }));
    const begun = process.cpuUsage();
    expect(countChat(texts)).toBeGreaterThan(0);
    expect(millisecondsSince(begun)).toBeLessThan(2_000);
  });
});

/** What the parts of a message add to it. */
function parts(...content: object[]): number {
  return countChat([{ role: 'user', content }]) - countChat([{ role: 'user', content: '' }]);
}

describe('countEmbeddingInput', () => {
  test('takes a text, texts, token numbers, and lists of them', () => {
    expect(countEmbeddingInput('hello world')).toBe(2);
    expect(countEmbeddingInput(['hello world', 'hello'])).toBe(3);
    expect(countEmbeddingInput([1, 2, 3])).toBe(3);
    expect(countEmbeddingInput([[1, 2], [3]])).toBe(3);
  });
});
