import { describe, expect, test } from 'vitest';
import {
  ALERT_KINDS,
  alertSettings,
  type AlertSettingsCommand,
  type AlertTarget,
} from '../../src/domain/alert-settings.ts';

const given = { channel: 'webhook', alerts: ['budget-over'], language: 'en', active: true } as const;
const target: AlertTarget = { id: 'alt_1', addressVersion: 1, ...given };
const at = { agencyId: 'age_1', id: 'alt_1' } as const;
const after = (command: AlertSettingsCommand, known: readonly AlertTarget[]) =>
  alertSettings.decide(command, known).map(({ data }) => data.targets);

describe('whom an agency has told', () => {
  test('is added, changed and removed, and each event says everything that holds from then on', () => {
    expect(after({ ...at, type: 'add', target: given }, [])).toEqual([[target]]);
    const changed = { ...at, type: 'change', target: { active: false }, moved: false } as const;
    expect(after(changed, [target])).toEqual([[{ ...target, active: false }]]);
    expect(after({ ...at, type: 'remove' }, [target])).toEqual([[]]);
  });

  test('changes by an event when only the address does, which no event holds', () => {
    const moved = { ...at, type: 'change', target: {}, moved: true } as const;
    expect(after(moved, [target])).toEqual([[{ ...target, addressVersion: 2 }]]);
    expect(after({ ...moved, moved: false }, [target])).toEqual([]);
  });

  test('is somebody that is there, and not more than twenty', () => {
    expect(() => after({ ...at, type: 'remove' }, [])).toThrow('alert target');
    const many = Array.from({ length: 20 }, (_, index) => ({ ...target, id: `alt_${index}` }));
    const one = { agencyId: 'age_1', id: 'alt_21', type: 'add', target: given } as const;
    expect(() => after(one, many)).toThrow('20 targets');
  });

  test('can be told of every kind', () => {
    const all = { ...given, alerts: ALERT_KINDS };
    const [targets] = after({ ...at, type: 'add', target: all }, []);
    expect(targets).toMatchObject([{ alerts: ALERT_KINDS }]);
  });
});
