import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';
import { words } from '../../src/ui/words/words.ts';

/**
 * The console is written against src/ui/api; here every route and member of it is looked up in the
 * description of the API, so that neither can change without the other.
 */
const API = 'src/ui/api';
const text = readdirSync(API)
  .filter((name) => /^(contract|shapes-\w+)\.ts$/.test(name))
  .map((name) => readFileSync(join(API, name), 'utf8'))
  .join('\n');

interface Shape {
  readonly parents: readonly string[];
  /** Type by member. */
  readonly members: ReadonlyMap<string, string>;
}

const shapes = new Map<string, Shape>(
  [...text.matchAll(/export interface (\w+)(?:<\w+>)?(?: extends (\w+))? \{\n([\s\S]*?)\n\}/g)].map(
    ([, name, parent, body]) => [
      name!,
      {
        parents: parent === undefined ? [] : [parent],
        members: new Map(
          [...body!.matchAll(/^ {2}(?:readonly )?'?([^\n':]+(?::\w+[^\n']*)?)'?: ([^\n]+);$/gm)].map(
            ([, member, type]) => [member!, type!] as const,
          ),
        ),
      },
    ],
  ),
);

/** What is walked of a JSON Schema. */
interface Schema {
  readonly $ref?: string;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

interface OpenApi {
  /** By path, then by method in small letters. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

let admin: Admin;
let document: OpenApi;
beforeAll(async () => {
  admin = await startAdmin();
  document = (await admin.call({ url: '/openapi.json', bearer: null })).body as OpenApi;
});
afterAll(() => admin?.close());

/** The schema and all that it may be instead; a reference names one of the shared ones. */
function resolved(schema: Schema | undefined): readonly Schema[] {
  if (schema === undefined) return [];
  if (schema.$ref !== undefined)
    return resolved(document.components.schemas[schema.$ref.replace('#/components/schemas/', '')]);
  return [
    schema,
    ...[schema.anyOf, schema.allOf, schema.oneOf].flatMap((several = []) => several.flatMap(resolved)),
  ];
}

const memberOf = (schema: Schema | undefined, name: string): Schema | undefined =>
  resolved(schema)
    .map(({ properties }) => properties?.[name])
    .find((found) => found !== undefined);
const itemOf = (schema: Schema | undefined): Schema | undefined =>
  resolved(schema)
    .map(({ items, additionalProperties }) => items ?? additionalProperties)
    .find((found) => typeof found === 'object');

/** Names every member of the type that the schema does not have. */
function missing(type: string, schema: Schema | undefined, path: string): string[] {
  const list = /^Listed<(\w+)>$/.exec(type);
  if (list !== null) return missing(list[1]!, itemOf(memberOf(schema, 'data')), `${path}.data[]`);
  const shape = shapes.get(type.replace(/^readonly (\w+)\[\]$/, '$1').replace(/ \| null$/, ''));
  const record = /^Readonly<Record<string, (\w+)>>$/.exec(type);
  if (record !== null) return missing(record[1]!, itemOf(schema), `${path}[]`);
  if (shape === undefined) return [];
  const own = type.startsWith('readonly ') ? itemOf(schema) : schema;
  const inherited = shape.parents.flatMap((parent) => missing(parent, own, path));
  const found = [...shape.members].flatMap(([name, member]) => {
    if (name.startsWith('[')) return [];
    const next = memberOf(own, name);
    return next === undefined ? [`${path}.${name}`] : missing(member, next, `${path}.${name}`);
  });
  return [...inherited, ...found];
}

const routes = ['Reads', 'Writes'].flatMap((name) => [...shapes.get(name)!.members]);

test('every route that the console calls exists', () => {
  expect(routes.length).toBeGreaterThan(35);
  for (const [route] of routes) {
    const [method, path] = route.split(' ') as [string, string];
    const methods = Object.keys(document.paths[path.replaceAll(/:(\w+)/g, '{$1}')] ?? {});
    expect(methods, route).toContain(method.toLowerCase());
  }
});

test.each(routes)('%s answers with every member that the console reads', (route, type) => {
  const [method, path] = route.split(' ') as [string, string];
  const { responses } = document.paths[path.replaceAll(/:(\w+)/g, '{$1}')]![method.toLowerCase()]!;
  const [content] = Object.values((responses['200'] ?? responses['201'])!.content);
  expect(missing(type, content!.schema, type)).toEqual([]);
});

/** What a schema says about values, without what it says to people. */
function bare(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(bare);
  if (typeof schema !== 'object' || schema === null) return schema;
  if ('$ref' in schema) return bare(resolved(schema as Schema)[0]);
  const said = Object.entries(schema).filter(
    ([name, value]) =>
      !['description', 'title', 'default', 'examples', 'id', '$schema'].includes(name) &&
      !(
        name === 'additionalProperties' &&
        value !== false &&
        Object.keys(bare(value) as object).length === 0
      ),
  );
  return Object.fromEntries(
    said.map(([name, value]) => [
      name,
      name === 'properties'
        ? Object.fromEntries(Object.entries(value as object).map(([key, one]) => [key, bare(one)]))
        : bare(value),
    ]),
  );
}

// After a change of the API: npx vitest run test/ui/contract.test.ts --update
test('the forms know the schemas of what they send', async () => {
  const bodies = [...shapes.get('Writes')!.members.keys()].toSorted().flatMap((route) => {
    const [method, path] = route.split(' ') as [string, string];
    const { requestBody } = document.paths[path.replaceAll(/:(\w+)/g, '{$1}')]![method.toLowerCase()]!;
    const schema = requestBody?.content['application/json']?.schema;
    // What the gateway takes is described for readers, and is not checked here.
    return schema === undefined || path.startsWith('/v1/') ? [] : [[route, bare(schema)] as const];
  });
  const text = `${JSON.stringify(Object.fromEntries(bodies))}\n`;
  await expect(text).toMatchFileSnapshot('../../src/ui/api/bodies.json');
});

test('every text is there in both languages, with the same places to fill', () => {
  const placesIn = (sentence: string) => [...sentence.matchAll(/\{\w+\}/g)].map(String).toSorted();
  for (const [name, [english, german]] of Object.entries(words)) {
    expect(english.trim(), name).not.toBe('');
    expect(german.trim(), name).not.toBe('');
    expect(placesIn(german), name).toEqual(placesIn(english));
  }
});

test('no text has two meanings: a later list would replace the earlier one without a word', () => {
  const names = readdirSync('src/ui/words')
    .map((name) => readFileSync(join('src/ui/words', name), 'utf8'))
    .flatMap((source) => [...source.matchAll(/^ {2}'?([^':\n]+)'?: \[/gm)].map(([, name]) => name!));
  expect(names.length).toBeGreaterThan(400);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test('no text of the console is there for nothing', () => {
  const sources = readdirSync('src/ui', { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && !name.startsWith('words'))
    .map((name) => readFileSync(join('src/ui', name), 'utf8'))
    .join('\n');
  const built = [...sources.matchAll(/`([a-z_.]+\.)\$\{/g)].map(([, prefix]) => prefix!);
  const unused = Object.keys(words).filter(
    (name) => !sources.includes(`'${name}'`) && !built.some((prefix) => name.startsWith(prefix)),
  );
  expect(unused).toEqual([]);
});
