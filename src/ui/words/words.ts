import { accessWords } from './access.ts';
import { agencyWords } from './agency.ts';
import { common } from './common.ts';
import { deskWords } from './desk.ts';
import { deskMoneyWords } from './desk-money.ts';
import { faultWords } from './faults.ts';
import { keyWords } from './keys.ts';
import { moneyWords } from './money.ts';
import { peopleWords } from './people.ts';

/** Every text of the console: English, then German. */
export const words = {
  ...common,
  ...keyWords,
  ...moneyWords,
  ...deskWords,
  ...deskMoneyWords,
  ...peopleWords,
  ...faultWords,
  ...accessWords,
  ...agencyWords,
} as const satisfies Record<string, readonly [en: string, de: string]>;
export type Word = keyof typeof words;

export const LANGUAGES = ['en', 'de'] as const;
export type Language = (typeof LANGUAGES)[number];
export type Values = Readonly<Record<string, string | number>>;

/** `{name}` in a text is filled from the values. */
export function textOf(language: Language, word: Word, values: Values = {}): string {
  const text: string = words[word][language === 'de' ? 1 : 0];
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

export function isWord(name: string): name is Word {
  return Object.hasOwn(words, name);
}
