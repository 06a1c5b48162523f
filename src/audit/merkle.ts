import { createHash } from 'node:crypto';

/**
 * Merkle trees as in RFC 6962: a leaf is hashed after a byte 0 and a node after a byte 1, so that
 * neither can be passed off as the other, and an uneven tree is split at the largest power of two.
 */
const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

export function leafHash(content: Buffer | string): Buffer {
  return createHash('sha256').update(LEAF).update(content).digest();
}

function nodeHash(left: Buffer, right: Buffer): Buffer {
  return createHash('sha256').update(NODE).update(left).update(right).digest();
}

/** A tree that grows at its right end and keeps one hash per level. */
export interface GrowingTree {
  add(leaf: Buffer): void;
  /** Of what was added so far. */
  root(): Buffer;
}

export function growingTree(): GrowingTree {
  /** Roots of full trees, each larger than the next; `levels` are their heights. */
  const roots: Buffer[] = [];
  const levels: number[] = [];
  return {
    add(leaf) {
      let root = leaf;
      let level = 0;
      while (levels.at(-1) === level) {
        root = nodeHash(roots.pop()!, root);
        levels.pop();
        level += 1;
      }
      roots.push(root);
      levels.push(level);
    },
    root() {
      const last = roots.at(-1);
      if (last === undefined) return createHash('sha256').digest();
      return roots.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
    },
  };
}

/** A tree in which every leaf can be looked up. */
export interface WholeTree {
  readonly root: Buffer;
  /** The hashes beside the way from a leaf up to the root, lowest first. */
  path(index: number): readonly Buffer[];
}

/** Level by level: pairs become their parent, and one that is left over goes up as it is. */
export function wholeTree(leaves: readonly Buffer[]): WholeTree {
  const levels: (readonly Buffer[])[] = [leaves];
  for (let level = leaves; level.length > 1; ) {
    const parents: Buffer[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const right = level[i + 1];
      parents.push(right === undefined ? level[i]! : nodeHash(level[i]!, right));
    }
    levels.push(parents);
    level = parents;
  }
  return {
    root: levels.at(-1)![0] ?? createHash('sha256').digest(),
    path: (index) => levels.flatMap((level, height) => level[Math.floor(index / 2 ** height) ^ 1] ?? []),
  };
}

/** The root that a leaf and its path lead to; null when the path does not fit a tree of this size. */
export function rootFromPath(
  leaf: Buffer,
  place: { readonly index: number; readonly size: number },
  path: readonly Buffer[],
): Buffer | null {
  let { index } = place;
  let last = place.size - 1;
  if (index < 0 || index > last) return null;
  let root = leaf;
  for (const beside of path) {
    if (last === 0) return null;
    if (index % 2 === 1 || index === last) {
      root = nodeHash(beside, root);
      while (index % 2 === 0 && index !== 0) {
        index /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      root = nodeHash(root, beside);
    }
    index = Math.floor(index / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? root : null;
}
