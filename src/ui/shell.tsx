import { type ReactNode, useEffect, useRef, useState } from 'react';
import { Link, useLocation } from 'wouter';
import { useWrite } from './api/hooks.ts';
import { SIGNED_OUT } from './api/client.ts';
import { wear } from './brand.ts';
import { type Rights, useRights, useSession, useT, useTongue } from './context.tsx';
import { Icon, type IconName, Mark } from './parts/icons.tsx';
import { applyTheme, storedTheme, type Theme, THEMES } from './theme.ts';
import { LANGUAGES, type Language, type Word } from './words/words.ts';

/** The frame around every page: where one is, where one can go, and who one is. */
interface Place {
  readonly to: string;
  readonly word: Word;
  readonly icon: IconName;
  readonly for: (rights: Rights) => boolean;
}

const all = () => true;
const agency = ({ agency }: Rights) => agency;
const admin = ({ admin }: Rights) => admin;
const billed = ({ agency, leads }: Rights) => agency || leads;
const GROUPS: readonly (readonly Place[])[] = [
  [
    { to: '/', word: 'overview', icon: 'overview', for: all },
    { to: '/tenants', word: 'tenants', icon: 'tenants', for: agency },
    { to: '/keys', word: 'keys', icon: 'keys', for: all },
  ],
  [
    { to: '/usage', word: 'usage', icon: 'usage', for: all },
    { to: '/requests', word: 'requests', icon: 'requests', for: all },
    { to: '/invoices', word: 'invoices', icon: 'invoices', for: billed },
  ],
  [
    { to: '/plans', word: 'plans', icon: 'plans', for: agency },
    { to: '/models', word: 'models', icon: 'models', for: all },
    { to: '/audit', word: 'audit', icon: 'audit', for: admin },
    { to: '/team', word: 'team', icon: 'team', for: agency },
    { to: '/access', word: 'access', icon: 'access', for: agency },
    { to: '/settings', word: 'settings', icon: 'settings', for: all },
  ],
];

export function Shell({ children }: { readonly children: ReactNode }) {
  const t = useT();
  const [path] = useLocation();
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    setOpen(false);
    // A new page begins at its top, for eyes and for screen readers.
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [path]);
  return (
    <div className="min-h-dvh lg:grid lg:grid-cols-[15.5rem_1fr]">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:fixed focus:top-3 focus:left-3 focus:z-50 focus:rounded-lg focus:bg-surface focus:px-4 focus:py-2"
      >
        {t('skip')}
      </a>
      <div className="sticky top-0 z-30 flex items-center justify-between border-b border-line bg-paper px-4 py-2.5 lg:hidden">
        <Brand />
        <button
          type="button"
          aria-expanded={open}
          aria-controls="places"
          onClick={() => setOpen(!open)}
          className="rounded-lg p-2.5 hover:bg-sunken"
        >
          <Icon name={open ? 'close' : 'menu'} />
          <span className="sr-only">{t('menu')}</span>
        </button>
      </div>
      <div
        id="places"
        className={`${open ? 'fixed inset-x-0 top-[3.6rem] bottom-0 z-20 flex' : 'hidden'} flex-col overflow-y-auto border-line bg-paper px-3 py-4 lg:sticky lg:top-0 lg:flex lg:h-dvh lg:border-r`}
      >
        <div className="mb-5 hidden px-2 lg:block">
          <Brand />
        </div>
        <Places />
        <div className="mt-auto pt-6">
          <Person />
        </div>
      </div>
      <main
        ref={main}
        id="main"
        tabIndex={-1}
        className="mx-auto w-full max-w-[84rem] px-4 py-6 outline-none sm:px-8 sm:py-8"
      >
        <Offline />
        {children}
      </main>
    </div>
  );
}

/** Tenants are at home with their agency: its logo and its colour, not ours. */
function Brand() {
  const { agency, tenants } = useSession();
  const { agency: ofAgency } = useRights();
  const [first] = tenants;
  const { accent, logo } = agency;
  useEffect(() => (ofAgency || accent === null ? undefined : wear(accent)), [ofAgency, accent]);
  if (!ofAgency && logo !== null)
    return (
      <Link
        href="/"
        className="flex min-w-0 items-center gap-3 rounded-lg leading-tight lg:flex-col lg:items-start lg:gap-1.5"
      >
        <img
          src={logo}
          alt={agency.name ?? ''}
          className="h-8 max-w-36 rounded-md bg-white object-contain p-1 lg:h-10 lg:max-w-44"
        />
        <span className="max-w-36 truncate text-sm text-soft lg:max-w-48">{first?.name ?? ''}</span>
      </Link>
    );
  return (
    <Link href="/" className="flex items-center gap-2.5 rounded-lg">
      {ofAgency || accent === null ? <Mark /> : <Initial of={agency.name ?? ''} />}
      <span className="flex min-w-0 flex-col leading-tight">
        <span className="font-semibold tracking-tight">
          {ofAgency ? 'Keyledger' : (agency.name ?? 'Keyledger')}
        </span>
        <span className="max-w-40 truncate text-sm text-soft">
          {ofAgency ? agency.name : (first?.name ?? '')}
        </span>
      </span>
    </Link>
  );
}

/** Stands for a logo that is not there. */
function Initial({ of: name }: { readonly of: string }) {
  return (
    <span
      aria-hidden="true"
      className="flex size-8 shrink-0 items-center justify-center rounded-lg bg-accent font-semibold text-on-accent"
    >
      {name.slice(0, 1).toUpperCase()}
    </span>
  );
}

function Places() {
  const t = useT();
  const rights = useRights();
  const [path] = useLocation();
  return (
    <nav aria-label={t('places')} className="flex flex-col gap-4">
      {GROUPS.map((places) => (
        <ul key={places[0]!.to} className="flex flex-col gap-0.5">
          {places
            .filter((place) => place.for(rights))
            .map(({ to, word, icon }) => {
              const here = to === '/' ? path === '/' : path.startsWith(to);
              return (
                <li key={to}>
                  <Link
                    href={to}
                    aria-current={here ? 'page' : undefined}
                    className={`flex min-h-10 items-center gap-3 rounded-lg px-3 font-medium transition-colors ${here ? 'bg-tint text-accent' : 'text-soft hover:bg-sunken hover:text-ink'}`}
                  >
                    <Icon name={icon} />
                    {t(word)}
                  </Link>
                </li>
              );
            })}
        </ul>
      ))}
    </nav>
  );
}

function Person() {
  const { t, language, setLanguage } = useTongue();
  const { user } = useSession();
  const [theme, setTheme] = useState(storedTheme);
  const signOut = useWrite('DELETE /api/session', () => window.dispatchEvent(new Event(SIGNED_OUT)));
  const select = 'min-h-9 w-full rounded-lg border border-line bg-surface px-2 text-sm';
  return (
    <div className="flex flex-col gap-2 border-t border-line px-1 pt-4">
      <div className="flex gap-2">
        <select
          aria-label={t('language')}
          value={language}
          onChange={(event) => setLanguage(event.target.value as Language)}
          className={select}
        >
          {LANGUAGES.map((one) => (
            <option key={one} value={one}>
              {t(`language.${one}`)}
            </option>
          ))}
        </select>
        <select
          aria-label={t('theme')}
          value={theme}
          onChange={(event) => {
            const chosen = event.target.value as Theme;
            setTheme(chosen);
            applyTheme(chosen);
          }}
          className={select}
        >
          {THEMES.map((one) => (
            <option key={one} value={one}>
              {t(`theme.${one}`)}
            </option>
          ))}
        </select>
      </div>
      <div className="flex items-center justify-between gap-2 px-1">
        <span className="min-w-0 truncate text-sm text-soft" title={user.id}>
          {user.name ?? user.email ?? (user.id === 'default_user_id' ? t('administrator') : user.id)}
        </span>
        <button
          type="button"
          onClick={() => signOut.mutate({})}
          className="rounded-lg p-2 text-soft hover:bg-sunken hover:text-ink"
          title={t('sign.out')}
        >
          <Icon name="out" />
          <span className="sr-only">{t('sign.out')}</span>
        </button>
      </div>
    </div>
  );
}

/** Says at once when the browser has lost the network: what is shown may be old. */
function Offline() {
  const t = useT();
  const [offline, setOffline] = useState(!navigator.onLine);
  useEffect(() => {
    const update = () => setOffline(!navigator.onLine);
    window.addEventListener('online', update);
    window.addEventListener('offline', update);
    return () => {
      window.removeEventListener('online', update);
      window.removeEventListener('offline', update);
    };
  }, []);
  if (!offline) return null;
  return (
    <p role="status" className="mb-5 flex items-center gap-2 rounded-lg bg-warn-tint px-4 py-3 text-warn">
      <Icon name="alert" />
      {t('offline')}
    </p>
  );
}
