/**
 * Everything one stream knows how to do. All three members are pure: same input, same answer, no
 * clock, no randomness, no I/O. The shell (transact.ts) supplies time and ids in the command.
 */
export interface Decider<Command, State, Event> {
  readonly initial: State;
  /** What happens? The events that follow, [] when nothing changes, or a thrown Refusal. */
  readonly decide: (command: Command, state: State) => readonly Event[];
  /** What is true now? Total: takes any event in any state and never throws. */
  readonly evolve: (state: State, event: Event) => State;
}

export function fold<C, S, E>(decider: Decider<C, S, E>, events: Iterable<E>): S {
  let state = decider.initial;
  for (const event of events) state = decider.evolve(state, event);
  return state;
}

/** Closes a switch over a union: a new variant breaks the build here, not production. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
