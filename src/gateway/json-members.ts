/**
 * Where the members of a JSON object stand in its text, so that one can be replaced and all other
 * bytes stay what the client sent (a 64-bit seed would not survive parsing and writing), and so
 * that a name which occurs twice is noticed: readers disagree on which of the two counts.
 */
export interface Member {
  readonly name: string;
  /** First and one past the last character of the value, white space around it included. */
  readonly start: number;
  readonly end: number;
}

/** Reads the outermost object of a text that JSON.parse has accepted. Null when it is nested deeper than `depthMax`. */
export function membersOf(text: string, depthMax: number): readonly Member[] | null {
  const members: Member[] = [];
  let depth = 0;
  let name: string | null = null;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case 0x22: {
        const end = endOfString(text, at);
        if (depth === 1 && name === null) name = JSON.parse(text.slice(at, end)) as string;
        at = end - 1;
        break;
      }
      case 0x3a:
        if (depth === 1) start = at + 1;
        break;
      case 0x2c:
        if (depth === 1 && name !== null) members.push({ name, start, end: at });
        if (depth === 1) name = null;
        break;
      case 0x7b:
      case 0x5b:
        depth += 1;
        if (depth > depthMax) return null;
        break;
      case 0x7d:
      case 0x5d:
        if (depth === 1 && name !== null) members.push({ name, start, end: at });
        depth -= 1;
        break;
      default:
    }
  }
  return members;
}

/** One past the closing quote. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return text.length;
}

/** Sets members of an object's text: replaces the value where the member exists, else puts it first. */
export function withMembers(
  text: string,
  members: readonly Member[],
  values: Readonly<Record<string, string>>,
): string {
  let added = '';
  const edits: { readonly start: number; readonly end: number; readonly value: string }[] = [];
  for (const [name, value] of Object.entries(values)) {
    const member = members.find((known) => known.name === name);
    if (member === undefined) added += `${JSON.stringify(name)}:${value},`;
    else edits.push({ start: member.start, end: member.end, value });
  }
  const brace = text.indexOf('{') + 1;
  if (added !== '')
    edits.push({ start: brace, end: brace, value: members.length === 0 ? added.slice(0, -1) : added });
  edits.sort((a, b) => a.start - b.start);
  let result = '';
  let from = 0;
  for (const { start, end, value } of edits) {
    result += text.slice(from, start) + value;
    from = end;
  }
  return result + text.slice(from);
}
