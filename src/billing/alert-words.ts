import type { AlertKind } from '../domain/alert-settings.ts';

/** An alert as people read it, in the language of its target. `{…}` is filled from its facts. */
export type Language = 'de' | 'en';

type Words = readonly [title: string, text: string];

const WORDS: Readonly<Record<AlertKind | 'test', Readonly<Record<Language, Words>>>> = {
  'budget-near': {
    en: ['Budget of {name} is nearly used', '{spent} of {budget} {currency} are used ({percent} %).'],
    de: [
      'Budget von {name} ist fast verbraucht',
      '{spent} von {budget} {currency} sind verbraucht ({percent} %).',
    ],
  },
  'budget-over': {
    en: [
      'Budget of {name} is used up',
      '{spent} of {budget} {currency} are used. Requests are refused until the budget is raised or begins anew.',
    ],
    de: [
      'Budget von {name} ist verbraucht',
      '{spent} von {budget} {currency} sind verbraucht. Anfragen werden abgelehnt, bis das Budget erhöht wird oder neu beginnt.',
    ],
  },
  'key-expiring': {
    en: ['The key {name} is about to expire', 'It expires at {expires}. Rotate it, or give it more time.'],
    de: ['Der Key {name} läuft bald ab', 'Er läuft um {expires} ab. Rotieren oder verlängern Sie ihn.'],
  },
  unhealthy: {
    en: ['{name} does not work', '{problem}'],
    de: ['{name} arbeitet nicht', '{problem}'],
  },
  'invoice-run-failed': {
    en: ['The invoice run of {name} has failures', '{problem}. It is tried again by itself.'],
    de: ['Der Rechnungslauf für {name} hat Fehler', '{problem}. Er wird von selbst wiederholt.'],
  },
  'payment-failed': {
    en: ['The payment of {name} failed', '{problem}'],
    de: ['Die Zahlung von {name} ist fehlgeschlagen', '{problem}'],
  },
  test: {
    en: ['This is a test', 'Alerts of Keyledger arrive here.'],
    de: ['Dies ist ein Test', 'Hier kommen die Benachrichtigungen von Keyledger an.'],
  },
};

export function alertWords(
  kind: AlertKind | 'test',
  language: Language,
  facts: Readonly<Record<string, string>>,
): { readonly title: string; readonly text: string } {
  const [title, text] = WORDS[kind][language];
  const filled = (sentence: string) =>
    sentence.replaceAll(/\{(\w+)\}/g, (_, name: string) => facts[name] ?? '');
  return { title: filled(title), text: filled(text) };
}
