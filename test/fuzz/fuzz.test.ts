import { afterAll, beforeAll, expect, test } from 'vitest';
import { SECRET, startWorld, until, type World } from '../gateway/harness.ts';
import { fuzz } from './fuzz.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld({ limits: { parallelRequests: 8 } });
});
afterAll(() => world.stop());

test.each([1, 2, 3])(
  'seed %i of generated requests and raw bytes gets no 5xx and leaves nothing behind',
  async (seed) => {
    const port = Number(new URL(world.url).port);
    const report = await fuzz({ port, secret: SECRET, seed, count: 300, lanes: 6, answerMsMax: 5_000 });
    expect(report.failures).toEqual([]);
    expect(report.silent).toBe(0);
    // It is worth something only when much of it gets as far as an answer.
    expect(report.statuses['200'] ?? 0).toBeGreaterThan(5);
    await until(() => world.gateway.inFlight() === 0);
    const answers = await Promise.all(Array.from({ length: 8 }, () => world.chat()));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(world.logged.filter(({ level }) => level === 'error')).toEqual([]);
  },
);
