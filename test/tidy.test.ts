import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { refusals } from '../src/refusals.ts';

/** Lowest first. A file imports from a lower level or from its own folder; never upwards. */
const levels: readonly RegExp[] = [
  /^src\/(errors|refusals|log)\.ts$/,
  /^src\/domain\//,
  /^src\/(config|environment|litellm-config|litellm-routing|litellm-keys|networks|secrets|master-key|credentials|yaml-file|embedded-postgres|embedded-postgres-files|instance-lock)\.ts$/,
  /^src\/events\.ts$/,
  /^src\/(projection|column-values)\.ts$/,
  /^projections\//,
  /^src\/store\//,
  /^src\/(?!(?:app|app-status|installation|recovery|spool-owner|taking-part|cli)\.)[a-z-]+\.ts$/,
  /^src\/billing\/documents\//,
  /^src\/(gateway|http|billing|audit|demo)\//,
  /^src\/(app|app-status|installation|recovery|spool-owner|taking-part)\.ts$/,
  /^src\/commands\//,
  /^src\/cli\.ts$/,
  // The browser's: it knows the server by its public API alone, and nobody imports it.
  /^src\/ui\//,
];
const LINES_MAX = 400;
const levelOf = (path: string) => levels.findIndex((pattern) => pattern.test(path));
const files = ['src', 'projections'].flatMap((root) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(root, name)),
);
const isUi = (path: string) => path.startsWith('src/ui/');

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '').replaceAll(/'[^'\n]*'|`[^`]*`/g, "''");
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import) '(\.[^']+)'/g)].map(([, specifier]) =>
    normalize(join(dirname(file), specifier!)),
  );
}

describe.each(files)('%s', (file) => {
  const text = readFileSync(file, 'utf8');
  const level = levelOf(file);

  test('imports only downwards or beside itself', () => {
    expect(level, 'give the file a level').not.toBe(-1);
    for (const imported of importsOf(file)) {
      if (isUi(file)) {
        expect(isUi(imported), `imports ${imported}`).toBe(true);
        continue;
      }
      const neighbour = dirname(imported) === dirname(file) && dirname(file) !== 'src';
      const peer = dirname(file) === 'src' && levelOf(imported) === level;
      expect(neighbour || peer || levelOf(imported) < level, `imports ${imported}`).toBe(true);
    }
  });

  test('keeps time, chance, I/O and the environment where they belong', () => {
    const pure = /^(src\/domain\/|projections\/)/.test(file);
    if (pure)
      expect(text).not.toMatch(/Date\.now|new Date\(\)|Math\.random|randomUUID|randomBytes|await |fetch\(/);
    if (file !== 'src/cli.ts') expect(text).not.toMatch(/process\.(env|argv)\b/);
  });

  test(`has at most ${LINES_MAX} lines, no any and no barrel`, () => {
    expect(text.split('\n').length).toBeLessThanOrEqual(LINES_MAX + 1);
    expect(withoutComments(text)).not.toMatch(/: any\b|\bas any\b|= any\b|@ts-(ignore|expect-error|nocheck)/);
    expect(text).not.toMatch(/^export \* from/m);
  });
});

test('no import cycles', () => {
  const state = new Map<string, 'open' | 'done'>();
  const visit = (file: string, path: readonly string[]): void => {
    expect(state.get(file), `cycle: ${[...path, file].join(' -> ')}`).not.toBe('open');
    if (state.has(file)) return;
    state.set(file, 'open');
    for (const imported of importsOf(file)) visit(imported, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of files) visit(file, []);
});

test('edge folders do not import each other', () => {
  const edge = /^src\/(gateway|http|billing|audit|demo)\//;
  const edgeOf = (name: string) => edge.exec(name)?.[1];
  for (const file of files.filter((name) => edge.test(name))) {
    for (const imported of importsOf(file)) {
      if (edge.test(imported)) expect(edgeOf(imported), `${file} imports ${imported}`).toBe(edgeOf(file));
    }
  }
});

test('nobody stands at the top but what was agreed', () => {
  const agreed = new Set([
    '.ci',
    '.dockerignore',
    '.dclintrc',
    '.dclintrc.yaml',
    '.env',
    '.env.example',
    '.git',
    '.gitignore',
    '.keyledger',
    '.npmrc',
    '.oxlintrc.json',
    'Dockerfile',
    'LICENSE',
    'README.md',
    'biome.json',
    'dist',
    'docker-compose.yml',
    'migrations',
    'node_modules',
    'package-lock.json',
    'package.json',
    'plans',
    'projections',
    'src',
    'test',
    'tsconfig.build.json',
    'tsconfig.json',
    'vitest.config.ts',
  ]);
  for (const name of readdirSync('.')) expect(agreed.has(name), name).toBe(true);
});

test('the README lists every refusal, and no refusal that has ceased to exist', () => {
  const readme = readFileSync('README.md', 'utf8');
  const section = readme.slice(
    readme.indexOf('### Refusals'),
    readme.indexOf('\n## ', readme.indexOf('### Refusals')),
  );
  const listed = [...section.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|/gm)].map(
    ([, code, status]) => `${code} ${status}`,
  );
  const catalogue = Object.entries(refusals).map(([code, [status]]) => `${code} ${status}`);
  expect(listed.toSorted()).toEqual(catalogue.toSorted());
});
