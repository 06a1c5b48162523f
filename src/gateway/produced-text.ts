import { countText } from '../domain/tokens.ts';
import type { StreamDialect } from './dialect.ts';
import { isRecord, type Json } from './json-fields.ts';
import { dataOf, splitEvents } from './sse.ts';

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

export function producedText(dialect: Pick<StreamDialect, 'texts'>): ProducedText {
  let kept: string[] = [];
  let keptLength = 0;
  /** By index of the choice. */
  const texts = new Map<number, string>();
  let counted = 0;

  function add(index: number, text: string): void {
    texts.set(index, (texts.get(index) ?? '') + text);
  }

  function read(): void {
    for (const event of splitEvents(kept.join(''))) {
      const json = jsonIn(dataOf(event));
      if (json !== null) dialect.texts(json, add);
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

function jsonIn(data: string | null): Json | null {
  if (data === null || !data.startsWith('{')) return null;
  try {
    const event: unknown = JSON.parse(data);
    return isRecord(event) ? event : null;
  } catch {
    return null;
  }
}
