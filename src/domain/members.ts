import { Refusal } from '../errors.ts';

/** Who belongs to a tenant or a project, by user id, in the state of its decider. */
interface Member {
  readonly userId: string;
}

export type Members<M extends Member> = ReadonlyMap<string, M>;

/** Throws Refusal(not_a_member). */
export function memberOf<M extends Member>(members: Members<M>, userId: string): M {
  const member = members.get(userId);
  if (member === undefined) throw new Refusal('not_a_member', { userId }, { param: 'user_id' });
  return member;
}

/** With the member as it is now, new or changed. */
export function withMember<M extends Member>(members: Members<M>, member: M): Members<M> {
  return new Map(members).set(member.userId, member);
}

export function withoutMember<M extends Member>(members: Members<M>, userId: string): Members<M> {
  return new Map([...members].filter(([id]) => id !== userId));
}
