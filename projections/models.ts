import type { ModelData } from '../src/domain/model.ts';
import { defineProjection } from '../src/projection.ts';
import { created, timeColumns, touched } from './subject-columns.ts';

/** The models that were added at run time. */
export const models = defineProjection({
  name: 'models',
  version: 1,
  columns: {
    model_id: 'text',
    agency_id: 'text',
    name: 'text',
    /** Without secrets; costs as decimal strings. */
    params: 'json',
    info: 'json',
    /** The secrets, encrypted (model-credentials.ts). */
    sealed: 'text?',
    ...timeColumns,
  },
  key: ['model_id'],
  on: {
    'model.added': (data, recorded) => ({
      op: 'insert',
      row: {
        model_id: data.id,
        agency_id: recorded.agencyId,
        ...columnsOf(data),
        ...created(recorded),
      },
    }),
    'model.changed': (data, recorded) => ({
      op: 'update',
      where: { model_id: data.id },
      set: { ...columnsOf(data), ...touched(recorded) },
    }),
    'model.removed': ({ id }) => ({ op: 'remove', where: { model_id: id } }),
  },
});

function columnsOf({ name, params, info, sealed }: ModelData) {
  return { name, params, info, sealed };
}
