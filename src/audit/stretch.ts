import { createHash } from 'node:crypto';
import { canonicalJson } from '../domain/json.ts';
import type { Placed } from '../store/stored-event.ts';
import {
  growingTree,
  type GrowingTree,
  leafHash,
  rootFromPath,
  type WholeTree,
  wholeTree,
} from './merkle.ts';

/**
 * The part of the log that one seal covers, as a tree of trees. The leaves of the seal's tree are the
 * streams that have events in it, sorted by name: each with its head, its first revision here, and
 * the root over the hashes of its events here. So the seal fixes every head, and one event can be
 * proven to be under it without showing any other: a hash covers its whole event, so the chain of
 * a stream alone proves nothing to somebody who may not see the events in between.
 */
export interface Stretch {
  add(placed: Placed): void;
  readonly events: number;
  /** True when all of it are seals: then there is nothing to seal. */
  readonly isIdle: boolean;
  /** Streams so far. */
  readonly heads: number;
  sum(): { readonly heads: number; readonly root: string; readonly order: string };
}

interface Head {
  readonly first: bigint;
  revision: bigint;
  hash: string;
  readonly tree: GrowingTree;
  /** Leaves of the events, when they are kept. */
  readonly leaves: Buffer[];
  /** Made for the first proof. */
  whole: WholeTree | null;
}

/** What leads from one event to the root of a seal. Hashes in hex. */
export interface Inclusion {
  readonly stream: string;
  readonly revision: bigint;
  /** Of the event. */
  readonly hash: string;
  /** First and last revision of the stream in the stretch, and the hash of the last. */
  readonly first: bigint;
  readonly head: { readonly revision: bigint; readonly hash: string };
  /** From the event to the root over the stream's events, lowest first. */
  readonly eventPath: readonly string[];
  /** Place of the stream among all streams of the stretch, and the path from there to the seal's root. */
  readonly index: number;
  readonly heads: number;
  readonly headPath: readonly string[];
}

export interface ProvableStretch extends Stretch {
  /** Call when all of it was added. Throws Error for an event that was not. */
  prove(event: { readonly stream: string; readonly revision: bigint; readonly hash: string }): Inclusion;
}

export function newStretch(): Stretch {
  return collect(false);
}

/** Keeps the hashes of all events: 32 bytes and some overhead for each. */
export function provableStretch(): ProvableStretch {
  return collect(true);
}

function collect(keeps: boolean): ProvableStretch {
  const heads = new Map<string, Head>();
  const order = createHash('sha256');
  let events = 0;
  let seals = 0;
  let sealed: { readonly places: ReadonlyMap<string, number>; readonly tree: WholeTree } | null = null;

  function whole() {
    if (sealed !== null) return sealed;
    const names = [...heads.keys()].toSorted();
    const tree = wholeTree(names.map((name) => headLeaf(name, heads.get(name)!)));
    sealed = { places: new Map(names.map((name, place) => [name, place])), tree };
    return sealed;
  }

  return {
    add({ stream, revision, hash, type }) {
      const bytes = Buffer.from(hash, 'hex');
      const leaf = leafHash(bytes);
      order.update(bytes);
      events += 1;
      if (type === 'log.sealed') seals += 1;
      let head = heads.get(stream);
      if (head === undefined) {
        head = { first: revision, revision, hash, tree: growingTree(), leaves: [], whole: null };
        heads.set(stream, head);
      }
      head.revision = revision;
      head.hash = hash;
      head.tree.add(leaf);
      if (keeps) head.leaves.push(leaf);
    },
    get events() {
      return events;
    },
    get isIdle() {
      return events === seals;
    },
    get heads() {
      return heads.size;
    },
    sum: () => ({
      heads: heads.size,
      root: toHex(whole().tree.root),
      order: order.copy().digest('hex'),
    }),
    prove({ stream, revision, hash }) {
      const head = heads.get(stream);
      const place = head === undefined ? -1 : Number(revision - head.first);
      if (head === undefined || place < 0 || place >= head.leaves.length) {
        throw new Error(`${stream}@${revision} is not in this part of the log`);
      }
      const { places, tree } = whole();
      const index = places.get(stream)!;
      head.whole ??= wholeTree(head.leaves);
      const { first } = head;
      return {
        stream,
        revision,
        hash,
        first,
        head: { revision: head.revision, hash: head.hash },
        eventPath: head.whole.path(place).map(toHex),
        index,
        heads: heads.size,
        headPath: tree.path(index).map(toHex),
      };
    },
  };
}

function headLeaf(stream: string, { first, revision, hash, tree }: Head): Buffer {
  return leafOf({ stream, first, revision, hash, eventsRoot: tree.root().toString('hex') });
}

function leafOf(head: {
  readonly stream: string;
  readonly first: bigint;
  readonly revision: bigint;
  readonly hash: string;
  readonly eventsRoot: string;
}): Buffer {
  const { stream, first, revision, hash, eventsRoot } = head;
  return leafHash(canonicalJson([stream, first, revision, hash, eventsRoot]));
}

/** The root that an inclusion leads to, in hex; null when it makes no sense. */
export function rootOfInclusion(inclusion: Inclusion): string | null {
  const { stream, revision, hash, first, head, eventPath, index, heads, headPath } = inclusion;
  const place = { index: Number(revision - first), size: Number(head.revision - first) + 1 };
  const eventsRoot = rootFromPath(leafHash(fromHex(hash)), place, eventPath.map(fromHex));
  if (eventsRoot === null) return null;
  if (revision === head.revision && hash !== head.hash) return null;
  const leaf = leafOf({ stream, first, ...head, eventsRoot: toHex(eventsRoot) });
  const root = rootFromPath(leaf, { index, size: heads }, headPath.map(fromHex));
  return root === null ? null : toHex(root);
}

function toHex(bytes: Buffer): string {
  return bytes.toString('hex');
}

function fromHex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}
