import type { JsonObject } from './json.ts';
import { type Entry, registry, type RegistryEvent } from './registry.ts';

/** A model that was added at run time: a name, where and how it is served, and what it costs. */
export interface ModelData extends Entry {
  /** What clients ask for; `*` or `prefix/*` serves any matching name. */
  readonly name: string;
  /** LiteLLM's `litellm_params` without anything secret, costs as decimal strings. */
  readonly params: JsonObject;
  /** LiteLLM's `model_info`, as it was sent. */
  readonly info: JsonObject;
  /** The rest of the params, encrypted; null when there is none. */
  readonly sealed: string | null;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type ModelEvent = RegistryEvent<'model.added', 'model', ModelData>;

export const model = registry<ModelData>()({
  noun: 'model',
  made: 'model.added',
  taken: 'model_exists',
  what: 'model',
});
