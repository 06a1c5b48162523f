import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DeploymentUse, marginOf } from '../../src/domain/margin.ts';

const use = (different: Partial<DeploymentUse>): DeploymentUse => ({
  agencyId: 'age_1',
  tenantId: 'ten_1',
  projectId: 'prj_1',
  deployment: 'shared',
  requests: 1,
  tokens: 100n,
  priceNanos: 500n,
  costNanos: 200n,
  ...different,
});

test('the worked example: a flat fee of 900 by 100, 300 and 200 tokens is 150, 450 and 300', () => {
  const uses = [
    use({ deployment: 'own' }),
    use({ deployment: 'own', projectId: 'prj_2', tokens: 300n }),
    use({ deployment: 'own', tenantId: 'ten_2', tokens: 200n }),
    use({ tenantId: 'ten_2' }),
  ];
  const { rows, unspread } = marginOf(
    uses,
    new Map([
      ['own', 900n],
      ['idle', 7n],
    ]),
  );
  expect(
    rows.map(({ tenantId, projectId, flatNanos, marginNanos }) => [
      tenantId,
      projectId,
      flatNanos,
      marginNanos,
    ]),
  ).toEqual([
    ['ten_1', 'prj_1', 150n, 150n],
    ['ten_1', 'prj_2', 450n, -150n],
    ['ten_2', 'prj_1', 300n, 300n],
  ]);
  expect([...unspread]).toEqual([['idle', 7n]]);
});

test('the shares of a flat fee add up to it, to the nano, in whatever order the usage comes', () => {
  const any = fc.record({
    tenantId: fc.constantFrom('ten_1', 'ten_2', 'ten_3'),
    projectId: fc.constantFrom(null, 'prj_1', 'prj_2'),
    deployment: fc.constantFrom('a', 'b'),
    tokens: fc.bigInt({ min: 0n, max: 10n ** 12n }),
  });
  const uses = fc.uniqueArray(any, {
    selector: (one) => `${one.tenantId} ${one.projectId} ${one.deployment}`,
  });
  const fees = fc.record({
    a: fc.bigInt({ min: 0n, max: 10n ** 15n }),
    b: fc.bigInt({ min: 0n, max: 10n ** 15n }),
  });
  fc.assert(
    fc.property(uses, fees, (some, { a, b }) => {
      const made = (list: readonly Partial<DeploymentUse>[]) =>
        marginOf(
          list.map(use),
          new Map([
            ['a', a],
            ['b', b],
          ]),
        );
      const { rows, unspread } = made(some);
      const spread = rows.reduce((sum, { flatNanos }) => sum + flatNanos, 0n);
      expect(spread + [...unspread.values()].reduce((sum, fee) => sum + fee, 0n)).toBe(a + b);
      expect(made(some.toReversed())).toEqual({ rows, unspread });
    }),
  );
});
