import { expect, test } from 'vitest';
import { auditors } from '../../projections/auditors.ts';
import { AT, auditConsulted, auditorAppointed, auditorDismissed } from '../support/events.ts';
import { project } from '../support/project.ts';

test('an auditor has a scope, a count of uses, and stays known after the dismissal', () => {
  const appointed = auditorAppointed();
  expect(project(auditors, [appointed])).toMatchObject([
    { auditor_id: 'aud_1', scope_kind: 'tenant', scope_id: 'ten_1', status: 'appointed', consultations: 0n },
  ]);
  expect(
    project(auditors, [appointed, auditConsulted(), auditConsulted(), auditorDismissed()]),
  ).toMatchObject([{ auditor_id: 'aud_1', status: 'dismissed', consultations: 2n, last_consulted_at: AT }]);
});
