import { countText } from '../domain/tokens.ts';
import { isRecord } from './call.ts';
import { dataOf, splitEvents } from './sse.ts';
import { textOf } from './usage.ts';

/**
 * What a stream has produced so far, for the case that its usage is never reported. That is rare,
 * so events are only kept, and read when somebody asks or when there are too many to keep.
 */
export interface ProducedText {
  add(events: string): void;
  /** Completion tokens of all choices. */
  tokens(): number;
}

const KEPT_LENGTH_MAX = 65_536;

export function producedText(): ProducedText {
  let kept: string[] = [];
  let keptLength = 0;
  /** By index of the choice. */
  const texts = new Map<number, string>();
  let counted = 0;

  function read(): void {
    for (const event of splitEvents(kept.join(''))) {
      const choices = choicesIn(dataOf(event));
      for (const choice of choices) {
        const index = typeof choice['index'] === 'number' ? choice['index'] : 0;
        texts.set(index, (texts.get(index) ?? '') + textOf(choice['delta']));
      }
    }
    kept = [];
    keptLength = 0;
    for (const [index, text] of texts) {
      if (text.length <= KEPT_LENGTH_MAX) continue;
      counted += countText(text);
      texts.set(index, '');
    }
  }

  return {
    add(events) {
      kept.push(events);
      keptLength += events.length;
      if (keptLength > KEPT_LENGTH_MAX) read();
    },
    tokens() {
      read();
      let tokens = counted;
      for (const text of texts.values()) tokens += countText(text);
      return tokens;
    },
  };
}

function choicesIn(data: string | null): readonly Readonly<Record<string, unknown>>[] {
  if (data === null || !data.startsWith('{')) return [];
  try {
    const event: unknown = JSON.parse(data);
    const choices = isRecord(event) ? event['choices'] : null;
    return Array.isArray(choices) ? choices.filter(isRecord) : [];
  } catch {
    return [];
  }
}
