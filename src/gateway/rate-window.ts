/**
 * How much happened in the last 60 seconds, for requests and tokens per minute. Time is cut into
 * slots; a slot counts until all of it is out of the window, so no window of 60 seconds ever holds
 * more than the limit, wherever it begins. The price is at most one slot per window: 250 ms of
 * 60 s, so more than 99.5 % of the limit is usable. Only slots in which something happened exist.
 */
export const WINDOW_MS = 60_000;
const SLOT_MS = 250;
const SLOTS = WINDOW_MS / SLOT_MS;
/** Expired slots are cut off in one go when so many have gathered. */
const EXPIRED_MAX = 256;

export interface Slot {
  /** Number of the slot since the clock's zero. */
  readonly index: number;
  amount: number;
  /** False once it has left the window; what is corrected afterwards changes nothing. */
  live: boolean;
}

/** All times are milliseconds of one clock that never goes back. */
export interface RateWindow {
  used(nowMs: number): number;
  add(nowMs: number, amount: number): Slot;
  /** Corrects what was added, when more or less turned out to be used. */
  correct(slot: Slot, difference: number): void;
  /** Until so much can be added under this limit: 0 when at once, null when never. */
  waitMs(nowMs: number, amount: number, limit: number): number | null;
}

export function rateWindow(): RateWindow {
  const slots: Slot[] = [];
  let first = 0;
  let total = 0;

  function expire(nowMs: number): void {
    const oldest = Math.floor(nowMs / SLOT_MS) - SLOTS;
    for (let slot = slots[first]; slot !== undefined && slot.index < oldest; slot = slots[first]) {
      slot.live = false;
      total -= slot.amount;
      first += 1;
    }
    if (first > EXPIRED_MAX) {
      slots.splice(0, first);
      first = 0;
    }
  }

  return {
    used(nowMs) {
      expire(nowMs);
      return total;
    },
    add(nowMs, amount) {
      expire(nowMs);
      total += amount;
      const index = Math.floor(nowMs / SLOT_MS);
      const last = first < slots.length ? slots.at(-1) : undefined;
      if (last !== undefined && last.index >= index) {
        last.amount += amount;
        return last;
      }
      const slot = { index, amount, live: true };
      slots.push(slot);
      return slot;
    },
    correct(slot, difference) {
      slot.amount += difference;
      if (slot.live) total += difference;
    },
    waitMs(nowMs, amount, limit) {
      expire(nowMs);
      let missing = total + amount - limit;
      if (missing <= 0) return 0;
      for (let i = first; i < slots.length; i += 1) {
        missing -= slots[i]!.amount;
        if (missing <= 0) return (slots[i]!.index + SLOTS + 1) * SLOT_MS - nowMs;
      }
      return null;
    },
  };
}
