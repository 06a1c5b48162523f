import { type ReactNode, useState } from 'react';
import { useLocation } from 'wouter';
import { navigate } from 'wouter/use-browser-location';
import type { ApiError } from '../api/client.ts';
import { useWrite } from '../api/hooks.ts';
import { useT, useTongue } from '../context.tsx';
import { Button } from '../parts/basics.tsx';
import { TextField } from '../parts/form.tsx';
import { Mark } from '../parts/icons.tsx';
import { useSentence } from '../problems.ts';
import { LANGUAGES } from '../words/words.ts';

const PASSWORD_LENGTH_MIN = 12;

/** For who is not signed in: sign in, or accept the invitation that the address carries. */
export function SignIn({
  expired,
  onSignedIn,
}: {
  readonly expired: boolean;
  readonly onSignedIn: () => void;
}) {
  const [path] = useLocation();
  const [invitation] = useState(() => ({
    id: new URLSearchParams(location.search).get('id'),
    token: location.hash.slice(1),
  }));
  const invited = path === '/onboarding' && invitation.id !== null && invitation.token !== '';
  return invited ? (
    <Join id={invitation.id ?? ''} token={invitation.token} onSignedIn={onSignedIn} />
  ) : (
    <Credentials expired={expired} onSignedIn={onSignedIn} />
  );
}

function Credentials({
  expired,
  onSignedIn,
}: {
  readonly expired: boolean;
  readonly onSignedIn: () => void;
}) {
  const t = useT();
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const signIn = useWrite('POST /api/session', onSignedIn);
  return (
    <Gate title={t('sign.in')} note={expired ? t('sign.expired') : null} error={signIn.error}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          signIn.mutate({ body: { username, password } });
        }}
      >
        <TextField
          label={t('sign.name')}
          autoComplete="username"
          autoCapitalize="none"
          required
          autoFocus
          value={username}
          onText={setUsername}
        />
        <TextField
          label={t('password')}
          type="password"
          autoComplete="current-password"
          required
          value={password}
          onText={setPassword}
        />
        <Button type="submit" kind="primary" busy={signIn.isPending}>
          {t('sign.in')}
        </Button>
      </form>
      <p className="mt-5 text-sm text-soft">{t('sign.hint')}</p>
    </Gate>
  );
}

function Join({
  id,
  token,
  onSignedIn,
}: {
  readonly id: string;
  readonly token: string;
  readonly onSignedIn: () => void;
}) {
  const t = useT();
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const join = useWrite('POST /api/session/invitation', () => {
    navigate('/ui/', { replace: true });
    onSignedIn();
  });
  const differs = again !== '' && again !== password;
  return (
    <Gate title={t('join')} note={t('join.lead')} error={join.error}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (password === again) join.mutate({ body: { invitation_id: id, token, password } });
        }}
      >
        <TextField
          label={t('password.new')}
          type="password"
          autoComplete="new-password"
          required
          minLength={PASSWORD_LENGTH_MIN}
          hint={t('password.rule', { min: PASSWORD_LENGTH_MIN })}
          value={password}
          onText={setPassword}
        />
        <TextField
          label={t('password.again')}
          type="password"
          autoComplete="new-password"
          required
          problem={differs ? t('password.differs') : undefined}
          value={again}
          onText={setAgain}
        />
        <Button type="submit" kind="primary" busy={join.isPending} disabled={differs}>
          {t('join.do')}
        </Button>
      </form>
    </Gate>
  );
}

function Gate({
  title,
  note,
  error,
  children,
}: {
  readonly title: string;
  readonly note: string | null;
  readonly error: ApiError | null;
  readonly children: ReactNode;
}) {
  const { t, language, setLanguage } = useTongue();
  const sentence = useSentence();
  return (
    <main className="grid min-h-dvh place-items-center px-4 py-10">
      <div className="appear w-full max-w-sm">
        <div className="mb-7 flex items-center gap-3">
          <Mark className="size-11" />
          <div>
            <p className="text-xl font-semibold tracking-tight">Keyledger</p>
            <p className="text-sm text-soft">{t('claim')}</p>
          </div>
        </div>
        <div className="rounded-2xl border border-line bg-surface p-7 shadow-card">
          <h1 className="mb-4 text-lg font-semibold">{title}</h1>
          {note !== null && <p className="mb-4 rounded-lg bg-tint px-4 py-2.5 text-accent">{note}</p>}
          {error !== null && (
            <p role="alert" className="mb-4 rounded-lg bg-bad-tint px-4 py-2.5 text-bad">
              {sentence(error)}
            </p>
          )}
          {children}
        </div>
        <div className="mt-5 flex justify-center gap-1 text-sm">
          {LANGUAGES.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === language}
              onClick={() => setLanguage(one)}
              className={`rounded-lg px-3 py-1.5 ${one === language ? 'font-semibold' : 'text-soft hover:text-ink'}`}
            >
              {t(`language.${one}`)}
            </button>
          ))}
        </div>
      </div>
    </main>
  );
}
