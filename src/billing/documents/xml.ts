/** Just enough XML to write an invoice: elements, attributes and text, indented. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly content: string | readonly XmlElement[];
}

/** Null and an empty text leave an element out, so that absent facts need no branches. */
type Content = string | null | readonly (XmlElement | null)[];

/** Null when it would be empty. */
export function element(
  name: string,
  content: Content,
  attributes: Readonly<Record<string, string>> = {},
): XmlElement | null {
  if (content === null) return null;
  if (typeof content === 'string') return content === '' ? null : { name, attributes, content };
  const children = content.filter((child) => child !== null);
  return children.length === 0 ? null : { name, attributes, content: children };
}

export function xmlText(root: XmlElement): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${write(root, '')}`;
}

function write({ name, attributes, content }: XmlElement, indent: string): string {
  const head = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(value)}"`);
  const open = `${indent}<${name}${head.join('')}>`;
  if (typeof content === 'string') return `${open}${escape(content)}</${name}>\n`;
  const inner = content.map((child) => write(child, `${indent}  `)).join('');
  return `${open}\n${inner}${indent}</${name}>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Control characters, which XML cannot hold or should not, are dropped. */
function escape(text: string): string {
  return text
    .replaceAll(/(?![\t\n\r])\p{Cc}|[\ufffe\uffff]/gu, '')
    .replaceAll(/[&<>"]/g, (found) => ENTITIES[found]!);
}
