import { describe, test } from 'vitest';
import { auditor } from '../../src/domain/auditor.ts';
import { auditConsulted, auditorAppointed, auditorDismissed } from '../support/events.ts';
import { specification } from '../support/specification.ts';

const given = specification(auditor);
const { data } = auditorAppointed();
const consult = { type: 'consult', route: '/api/audit/keys/:id', subject: 'key_1' } as const;

describe('an auditor', () => {
  test('is appointed once', () => {
    given().when({ type: 'appoint', auditor: data }).gives(auditorAppointed());
    given(auditorAppointed()).when({ type: 'appoint', auditor: data }).refuses('key_already_exists');
  });

  test('leaves a trace of every use', () => {
    given(auditorAppointed(), auditConsulted()).when(consult).gives(auditConsulted());
  });

  test('can do nothing after the dismissal, and is dismissed once', () => {
    given(auditorAppointed()).when({ type: 'dismiss' }).gives(auditorDismissed());
    given(auditorAppointed(), auditorDismissed()).when({ type: 'dismiss' }).gives();
    given(auditorAppointed(), auditorDismissed()).when(consult).refuses('unknown_key');
  });

  test('who was never appointed does not exist', () => {
    given().when({ type: 'dismiss' }).refuses('not_found');
    given().when(consult).refuses('not_found');
  });
});
