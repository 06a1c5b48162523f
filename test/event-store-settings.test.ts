import { describe, expect, test } from 'vitest';
import { readConfig } from '../src/config.ts';

const read = (settings: Record<string, string>) => readConfig(settings, '/data');
const eventStoreDb = { EVENT_STORE: 'eventstoredb' };

describe('where the log is', () => {
  test('is Postgres unless somebody says otherwise', () => {
    expect(read({}).eventStoreDbUrl).toBeNull();
    expect(read({ EVENTSTOREDB_URL: 'esdb://localhost:2113' }).eventStoreDbUrl).toBeNull();
  });

  test.each([
    'esdb://localhost:2113',
    'esdb://localhost:2113?tls=false',
    'esdb://admin:ch%40nge@host:2113?tls=true&tlsCAFile=/etc/ca.crt',
    'esdb+discover://user:password@cluster.example:2113?nodePreference=leader',
    'esdb://user:password@a:2113,b:2113,c:2113?tls=true',
  ])('can be %s', (url) => {
    expect(read({ ...eventStoreDb, EVENTSTOREDB_URL: url }).eventStoreDbUrl).toBe(url);
  });

  test.each([
    'http://admin:Pa55-word@localhost:2113',
    'esdb://admin:Pa55-word@',
    'esdb://admin:Pa55-word@host:2113?throwOnAppendFailure=false',
    'esdb://admin:Pa55 word@host:2113',
  ])('cannot be %s, and what is wrong is said without it', (url) => {
    const start = () => read({ ...eventStoreDb, EVENTSTOREDB_URL: url });
    expect(start).toThrow(/^(?!.*Pa55).*EVENTSTOREDB_URL/s);
  });

  test('has to be named', () => {
    expect(() => read(eventStoreDb)).toThrow('EVENTSTOREDB_URL is missing');
    expect(() => read({ EVENT_STORE: 'mongodb' })).toThrow('EVENT_STORE');
  });

  test.each(['*', 'esdb:*', 'express,esdb:connection'])('is not shown by DEBUG=%s', (DEBUG) => {
    const settings = { ...eventStoreDb, EVENTSTOREDB_URL: 'esdb://localhost:2113', DEBUG };
    expect(() => read(settings)).toThrow('DEBUG would print EVENTSTOREDB_URL');
  });

  test('is warned of when it has no TLS', () => {
    const { warnings } = read({ ...eventStoreDb, EVENTSTOREDB_URL: 'esdb://a:b@host:2113?tls=false' });
    expect(warnings.join()).toContain('its password is not sent');
  });
});
