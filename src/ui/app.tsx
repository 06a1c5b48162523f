import { QueryCache, QueryClient, QueryClientProvider, useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useState } from 'react';
import { Route, Router, Switch } from 'wouter';
import { ApiError, SIGNED_OUT } from './api/client.ts';
import { useRead } from './api/hooks.ts';
import { useLiveStream } from './api/live.ts';
import { SessionProvider, TongueProvider, useT } from './context.tsx';
import { Empty, Loading, Problem } from './parts/states.tsx';
import { SignIn } from './pages/sign-in.tsx';
import { Shell } from './shell.tsx';

const Overview = lazy(() => import('./pages/overview.tsx'));
const Tenants = lazy(() => import('./pages/tenants.tsx'));
const Onboard = lazy(() => import('./pages/onboard.tsx'));
const Tenant = lazy(() => import('./pages/tenant.tsx'));
const Keys = lazy(() => import('./pages/keys.tsx'));
const Key = lazy(() => import('./pages/key.tsx'));
const Usage = lazy(() => import('./pages/usage.tsx'));
const Requests = lazy(() => import('./pages/requests.tsx'));
const Invoices = lazy(() => import('./pages/invoices.tsx'));
const Invoice = lazy(() => import('./pages/invoice.tsx'));
const Plans = lazy(() => import('./pages/plans.tsx'));
const Models = lazy(() => import('./pages/models.tsx'));
const Audit = lazy(() => import('./pages/audit.tsx'));
const Team = lazy(() => import('./pages/team.tsx'));
const Access = lazy(() => import('./pages/access.tsx'));
const Settings = lazy(() => import('./pages/settings.tsx'));

/** A refusal is an answer; only what may pass by itself is asked for again. */
function isWorthRepeating(count: number, error: Error): boolean {
  const passing = error instanceof ApiError && (error.status === 0 || error.status >= 502);
  return passing && count < 3;
}

export function App() {
  const [queries] = useState(
    () =>
      new QueryClient({
        queryCache: new QueryCache(),
        defaultOptions: { queries: { retry: isWorthRepeating, staleTime: 5_000, networkMode: 'always' } },
      }),
  );
  return (
    <QueryClientProvider client={queries}>
      <TongueProvider>
        <Router base="/ui">
          <Entrance />
        </Router>
      </TongueProvider>
    </QueryClientProvider>
  );
}

/** Asks who is signed in, and lets in or asks to sign in. */
function Entrance() {
  const queries = useQueryClient();
  const session = useRead('GET /api/session');
  const [ended, setEnded] = useState(false);
  useEffect(() => {
    const onSignedOut = () => {
      setEnded(true);
      queries.clear();
      void queries.invalidateQueries();
    };
    window.addEventListener(SIGNED_OUT, onSignedOut);
    return () => window.removeEventListener(SIGNED_OUT, onSignedOut);
  }, [queries]);
  const isUnknown = session.error !== null && session.error.status === 401;
  if (ended || isUnknown) {
    const expired = ended || session.error?.reason === 'session_expired';
    const onSignedIn = () => {
      setEnded(false);
      queries.clear();
      void session.refetch();
    };
    return <SignIn expired={expired} onSignedIn={onSignedIn} />;
  }
  if (session.data === undefined) {
    return session.error === null ? (
      <Loading />
    ) : (
      <Problem error={session.error} retry={() => void session.refetch()} />
    );
  }
  return (
    <SessionProvider value={session.data}>
      <LiveStream />
      <Shell>
        <Suspense fallback={<Loading />}>
          <Pages />
        </Suspense>
      </Shell>
    </SessionProvider>
  );
}

function LiveStream() {
  useLiveStream();
  return null;
}

function Pages() {
  const t = useT();
  return (
    <Switch>
      <Route path="/">{() => <Overview />}</Route>
      <Route path="/tenants">{() => <Tenants />}</Route>
      <Route path="/tenants/new">{() => <Onboard />}</Route>
      <Route path="/tenants/:id">{({ id }) => <Tenant id={id} />}</Route>
      <Route path="/keys">{() => <Keys />}</Route>
      <Route path="/keys/:id">{({ id }) => <Key key={id} id={id} />}</Route>
      <Route path="/usage">{() => <Usage />}</Route>
      <Route path="/requests">{() => <Requests />}</Route>
      <Route path="/invoices">{() => <Invoices />}</Route>
      <Route path="/invoices/:id">{({ id }) => <Invoice id={id} />}</Route>
      <Route path="/plans">{() => <Plans />}</Route>
      <Route path="/models">{() => <Models />}</Route>
      <Route path="/audit">{() => <Audit />}</Route>
      <Route path="/team">{() => <Team />}</Route>
      <Route path="/access">{() => <Access />}</Route>
      <Route path="/settings">{() => <Settings />}</Route>
      <Route>{() => <Empty icon="search" title={t('page.missing')} />}</Route>
    </Switch>
  );
}
