/**
 * Checks what a form sends against the schema that the API has for it, so that a mistake is shown at its
 * field before anything is sent. Only the words of JSON Schema that the API uses are understood; the
 * API checks again, and more.
 */
export interface Fault {
  /** Path in the body, such as `billing.email`; empty for the body itself. */
  readonly field: string;
  /** As zod names it: too_small, invalid_format, invalid_type … */
  readonly type: string;
  readonly ctx: Readonly<Record<string, unknown>>;
  /** The API's own sentence; null for what was found here. */
  readonly message: string | null;
}

export interface Schema {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
}

export function faultsIn(schema: Schema, value: unknown, field = ''): readonly Fault[] {
  const fault = (type: string, ctx: Fault['ctx']): readonly Fault[] => [{ field, type, ctx, message: null }];
  if (schema.anyOf !== undefined) return faultsInAny(schema.anyOf, value, field);
  const all = (schema.allOf ?? []).flatMap((part) => faultsIn(part, value, field));
  if (all.length > 0) return all;
  const choices = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (choices !== undefined && !choices.includes(value)) return fault('invalid_value', { values: choices });
  if (schema.type !== undefined && !isOfType(schema.type, value))
    return fault('invalid_type', { expected: [schema.type].flat()[0] });
  if (typeof value === 'string') return faultsInText(schema, value, fault);
  if (typeof value === 'number') return outside(schema.minimum, schema.maximum, value, 'number', fault);
  if (Array.isArray(value)) {
    const size = outside(schema.minItems, schema.maxItems, value.length, 'array', fault);
    const { items } = schema;
    return items === undefined
      ? size
      : [...size, ...value.flatMap((item, index) => faultsIn(items, item, join(field, String(index))))];
  }
  return typeof value === 'object' && value !== null
    ? faultsInObject(schema, value as Readonly<Record<string, unknown>>, field)
    : [];
}

/** What the branch complains about that the value comes closest to. */
function faultsInAny(branches: readonly Schema[], value: unknown, field: string): readonly Fault[] {
  const tried = branches.map((branch) => ({ branch, faults: faultsIn(branch, value, field) }));
  if (tried.some(({ faults }) => faults.length === 0)) return [];
  const meant = tried.find(({ branch }) => branch.type === undefined || isOfType(branch.type, value));
  return (meant ?? tried[0])?.faults ?? [];
}

function faultsInText(
  { minLength, maxLength, pattern, format }: Schema,
  text: string,
  fault: (type: string, ctx: Fault['ctx']) => readonly Fault[],
): readonly Fault[] {
  const length = outside(minLength, maxLength, text.length, 'string', fault);
  if (length.length > 0) return length;
  if (pattern === undefined || new RegExp(pattern).test(text)) return [];
  return fault('invalid_format', { format: format ?? 'regex' });
}

function outside(
  minimum: number | undefined,
  maximum: number | undefined,
  size: number,
  origin: string,
  fault: (type: string, ctx: Fault['ctx']) => readonly Fault[],
): readonly Fault[] {
  if (minimum !== undefined && size < minimum) return fault('too_small', { origin, minimum });
  return maximum !== undefined && size > maximum ? fault('too_big', { origin, maximum }) : [];
}

function faultsInObject(
  { properties = {}, required = [], additionalProperties }: Schema,
  value: Readonly<Record<string, unknown>>,
  field: string,
): readonly Fault[] {
  const missing = required
    .filter((name) => value[name] === undefined)
    .map((name) => ({ field: join(field, name), type: 'missing', ctx: {}, message: null }));
  const inside = Object.entries(value).flatMap(([name, member]) => {
    // What is undefined is not sent.
    if (member === undefined) return [];
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known !== undefined) return faultsIn(known, member, join(field, name));
    if (additionalProperties === false)
      return [{ field: join(field, name), type: 'unrecognized_keys', ctx: { keys: [name] }, message: null }];
    return typeof additionalProperties === 'object'
      ? faultsIn(additionalProperties, member, join(field, name))
      : [];
  });
  return [...missing, ...inside];
}

function isOfType(type: string | readonly string[], value: unknown): boolean {
  if (typeof type !== 'string') return type.some((one) => isOfType(one, value));
  switch (type) {
    case 'null':
      return value === null;
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
