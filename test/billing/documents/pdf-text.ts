/**
 * The text of a PDF that this project writes, page by page: enough of the format to read subset
 * fonts through their ToUnicode maps, so that tests need no program beside them.
 */
import { inflateSync } from 'node:zlib';

type Objects = ReadonlyMap<number, { readonly head: string; readonly stream: Buffer | null }>;

export function pdfObjects(bytes: Buffer): Objects {
  const text = bytes.toString('latin1');
  const objects = new Map<number, { readonly head: string; readonly stream: Buffer | null }>();
  for (const match of text.matchAll(/(\d+) 0 obj\n([\s\S]*?)\nendobj/g)) {
    const body = match[2]!;
    const at = body.indexOf('stream\n');
    const head = at === -1 ? body : body.slice(0, at);
    const raw = at === -1 ? null : Buffer.from(body.slice(at + 7, body.lastIndexOf('\nendstream')), 'latin1');
    const stream = raw !== null && head.includes('FlateDecode') ? inflateSync(raw) : raw;
    objects.set(Number(match[1]), { head, stream });
  }
  return objects;
}

/** One text per page, lines joined by line feeds. */
export function pdfText(bytes: Buffer): readonly string[] {
  const objects = pdfObjects(bytes);
  const pages = [...objects.values()].filter(({ head }) => /\/Type \/Page\n/.test(head));
  return pages.map((page) => {
    const resources = objects.get(Number(/\/Resources (\d+) 0 R/.exec(page.head)![1]))!.head;
    const maps = new Map<string, ReadonlyMap<string, string>>();
    for (const [, name, id] of resources.matchAll(/\/(F\d+) (\d+) 0 R/g)) {
      maps.set(name!, unicodeMap(objects, Number(id)));
    }
    const contents = objects.get(Number(/\/Contents (\d+) 0 R/.exec(page.head)![1]))!.stream!;
    return shownText(contents.toString('latin1'), maps);
  });
}

function unicodeMap(objects: Objects, font: number): ReadonlyMap<string, string> {
  const id = Number(/\/ToUnicode (\d+) 0 R/.exec(objects.get(font)!.head)![1]);
  const cmap = objects.get(id)!.stream!.toString('latin1');
  const map = new Map<string, string>();
  for (const [, from, , list] of cmap.matchAll(/<([0-9a-f]+)> <([0-9a-f]+)> \[([^\]]*)\]/gi)) {
    let code = Number.parseInt(from!, 16);
    for (const [, hex] of list!.matchAll(/<([0-9a-f ]+)>/gi)) {
      map.set(
        code.toString(16).padStart(4, '0'),
        Buffer.from(hex!.replaceAll(' ', ''), 'hex').swap16().toString('utf16le'),
      );
      code += 1;
    }
  }
  return map;
}

function shownText(contents: string, maps: ReadonlyMap<string, ReadonlyMap<string, string>>): string {
  const lines: string[] = [];
  let map: ReadonlyMap<string, string> = new Map();
  for (const [, font, shown] of contents.matchAll(/\/(F\d+) [\d.]+ Tf|\[([^\]]*)\] TJ/g)) {
    if (font !== undefined) map = maps.get(font)!;
    if (shown === undefined) continue;
    const codes = [...shown.matchAll(/<([0-9a-f]+)>/gi)].map(([, hex]) => hex!).join('');
    lines.push((codes.match(/.{4}/g) ?? []).map((code) => map.get(code.toLowerCase()) ?? '\ufffd').join(''));
  }
  return lines.join('\n');
}
