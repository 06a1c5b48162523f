import { closeSync, fdatasync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Syncs a file of its own beside the spool all the time, as the gateway does: on a machine that others
 * use too the disk stands still at times, and then no answer can go out.
 */
export interface DiskProbe {
  /** Ends it; the longest time a sync took. */
  stop(): number;
}

const GAP_MS = 100;

export function probeDisk(folder: string): DiskProbe {
  const fd = openSync(join(folder, 'probe'), 'w');
  let longestMs = 0;
  let began = performance.now();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const note = (): void => {
    longestMs = Math.max(longestMs, performance.now() - began);
  };
  const sync = (): void => {
    began = performance.now();
    writeSync(fd, 'x');
    fdatasync(fd, () => {
      note();
      if (stopped) closeSync(fd);
      else timer = setTimeout(sync, GAP_MS);
    });
  };
  sync();
  return {
    stop() {
      stopped = true;
      if (timer !== undefined) clearTimeout(timer);
      return longestMs;
    },
  };
}
