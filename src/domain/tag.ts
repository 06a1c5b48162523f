import { registry, type RegistryEvent } from './registry.ts';
import type { BudgetedSubject } from './subject.ts';

/** A word that requests of one tenant carry, with a meaning and limits. The id is the word. */
export interface TagData extends BudgetedSubject {
  readonly description: string | null;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type TagEvent = RegistryEvent<'tag.defined', 'tag', TagData>;

export const tag = registry<TagData>()({
  noun: 'tag',
  made: 'tag.defined',
  taken: 'tag_exists',
  what: 'tag',
});
