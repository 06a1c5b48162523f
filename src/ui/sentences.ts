import type { Fault } from './api/check.ts';
import { germanProblems, germanRefusals, germanValues } from './words/refusals.ts';
import { germanVerdicts } from './words/verdicts.ts';
import { isWord, type Language, textOf, type Values } from './words/words.ts';

/**
 * What went wrong, in the user's language: the sentence of a refusal from its code and its values, the
 * complaint about a field from the kind of its fault. What is not known here stays as the API says it.
 */
export interface Refused {
  /** Stable name of the refusal. */
  readonly reason: string;
  /** As the API says it. */
  readonly message: string;
  /** What the sentence names, by name. */
  readonly detail: Readonly<Record<string, unknown>>;
  /** The field that it is about; null when it is about none. */
  readonly param: string | null;
  readonly faults: readonly Fault[];
}

export function sentenceOf(error: Refused, language: Language): string {
  const word = `refusal.${error.reason}`;
  if (isWord(word)) return textOf(language, word, valuesOf(error.detail));
  const known = language === 'de' ? germanRefusals[error.reason] : undefined;
  if (known === undefined) return error.message;
  const values = Object.fromEntries(
    Object.entries(valuesOf(error.detail)).map(([name, value]) => [name, german(String(value))]),
  );
  return known.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '–');
}

/** Complaints by field. A refusal about one field is the complaint of that field. */
export function problemsOf(error: Refused, language: Language): Readonly<Record<string, string>> {
  const problems: Record<string, string> = {};
  for (const fault of error.faults) problems[fault.field] ??= complaint(fault, language);
  if (error.param !== null && error.faults.length === 0) problems[error.param] = sentenceOf(error, language);
  return problems;
}

function complaint({ type, ctx, message }: Fault, language: Language): string {
  // A rule that the API wrote itself says more than its kind; in German its kind has to do.
  if (message !== null && (type === 'custom' || (language === 'en' && ctx['format'] === 'regex')))
    return language === 'de' ? german(message) : message;
  const kind = String(
    type === 'invalid_format' ? ctx['format'] : type === 'invalid_type' ? ctx['expected'] : ctx['origin'],
  );
  const { values } = ctx;
  const said = { ...valuesOf(ctx), ...(Array.isArray(values) ? { values: values.join(', ') } : {}) };
  const word = [`fault.${type}.${kind}`, `fault.${type}`].find(isWord);
  return word === undefined
    ? (message ?? textOf(language, 'fault.invalid_format'))
    : textOf(language, word, said);
}

/** As the API says it where the language has no other words for it. */
export function worded(text: string, language: Language): string {
  return language === 'de' ? german(text) : text;
}

function german(text: string): string {
  const found = [...germanProblems, ...germanVerdicts].find(([like]) => like.test(text));
  return found === undefined ? (germanValues[text] ?? text) : text.replace(...found);
}

function valuesOf(ctx: Readonly<Record<string, unknown>>): Values {
  return Object.fromEntries(
    Object.entries(ctx).filter(
      (entry): entry is [string, string | number] =>
        typeof entry[1] === 'string' || typeof entry[1] === 'number',
    ),
  );
}
