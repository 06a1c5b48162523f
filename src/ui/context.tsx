import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import type { Session } from './api/shapes-people.ts';
import { type Formats, formatsFor } from './format.ts';
import { LANGUAGES, type Language, textOf, type Values, type Word } from './words/words.ts';

/** Language, formats and who is signed in: what every part of a page asks for. */
interface Tongue {
  readonly language: Language;
  readonly setLanguage: (language: Language) => void;
  readonly t: (word: Word, values?: Values) => string;
}

const STORED = 'keyledger.language';
const TongueContext = createContext<Tongue | null>(null);
const SessionContext = createContext<Session | null>(null);

function preferred(): Language {
  const stored = localStorage.getItem(STORED);
  const wanted = [stored, ...navigator.languages].map((name) => name?.slice(0, 2));
  return (
    LANGUAGES.find((language) => wanted.find((name) => LANGUAGES.some((one) => one === name)) === language) ??
    'en'
  );
}

export function TongueProvider({ children }: { readonly children: ReactNode }) {
  const [language, setLanguage] = useState(preferred);
  useEffect(() => {
    document.documentElement.lang = language;
    localStorage.setItem(STORED, language);
  }, [language]);
  const tongue = useMemo<Tongue>(
    () => ({ language, setLanguage, t: (word, values) => textOf(language, word, values) }),
    [language],
  );
  return <TongueContext value={tongue}>{children}</TongueContext>;
}

export function useTongue(): Tongue {
  const tongue = useContext(TongueContext);
  if (tongue === null) throw new Error('there is no TongueProvider around this');
  return tongue;
}

export function useT(): Tongue['t'] {
  return useTongue().t;
}

export const SessionProvider = SessionContext.Provider;

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('nobody is signed in here');
  return session;
}

/** What the signed-in user may do; the API enforces it, pages only leave out what would be refused. */
export interface Rights {
  /** Reads everything of the agency. */
  readonly agency: boolean;
  /** Changes everything. */
  readonly admin: boolean;
  /** Leads a tenant: sees its invoices, makes its keys. */
  readonly leads: boolean;
  readonly makesKeys: boolean;
}

export function useRights(): Rights {
  const { roles } = useSession();
  const admin = roles.includes('proxy_admin');
  const leads = roles.includes('org_admin');
  return {
    admin,
    agency: admin || roles.includes('proxy_admin_viewer'),
    leads,
    makesKeys: admin || leads || roles.includes('internal_user') || roles.includes('team_admin'),
  };
}

export function useFormats(): Formats {
  const { language } = useTongue();
  const { agency } = useSession();
  return useMemo(() => formatsFor(language, agency.zone, agency.currency), [language, agency]);
}
