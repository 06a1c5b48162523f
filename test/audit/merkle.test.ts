import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { growingTree, leafHash, rootFromPath, wholeTree } from '../../src/audit/merkle.ts';

/** The eight leaves of the certificate transparency reference tree, and its roots by size. */
const INPUTS = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const leaves = INPUTS.map((hex) => leafHash(Buffer.from(hex, 'hex')));

describe('a tree of hashes', () => {
  test('has the roots that RFC 6962 gives, grown leaf by leaf and made at once', () => {
    const tree = growingTree();
    expect(tree.root()).toEqual(createHash('sha256').digest());
    for (const [i, leaf] of leaves.entries()) {
      tree.add(leaf);
      expect(tree.root().toString('hex')).toBe(ROOTS[i]);
      expect(wholeTree(leaves.slice(0, i + 1)).root).toEqual(tree.root());
    }
  });

  test('proves each leaf at its place in a tree of its size, and nowhere else', () => {
    const many = Array.from({ length: 33 }, (_, i) => leafHash(`leaf ${i}`));
    for (let size = 1; size <= many.length; size += 1) {
      const tree = wholeTree(many.slice(0, size));
      for (let index = 0; index < size; index += 1) {
        const path = tree.path(index);
        expect(rootFromPath(many[index]!, { index, size }, path)).toEqual(tree.root);
        expect(rootFromPath(leafHash('another'), { index, size }, path)).not.toEqual(tree.root);
        if (size > 1) {
          const elsewhere = { index: (index + 1) % size, size };
          expect(rootFromPath(many[index]!, elsewhere, path)).not.toEqual(tree.root);
          expect(rootFromPath(many[index]!, { index, size }, path.slice(1))).not.toEqual(tree.root);
        }
        expect(rootFromPath(many[index]!, { index, size }, [...path, many[0]!])).toBeNull();
      }
    }
    expect(rootFromPath(many[0]!, { index: 3, size: 3 }, [])).toBeNull();
  });

  test('takes no node for a leaf', () => {
    const pair = wholeTree(leaves.slice(0, 2));
    expect(leafHash(Buffer.concat([leaves[0]!, leaves[1]!]))).not.toEqual(pair.root);
  });
});
