import { close, closeSync, fdatasync, open, renameSync, unlink, unlinkSync, write } from 'node:fs';

/**
 * A file of zeros, made while others are written, for the spool to go on in. Syncing what is written
 * over zeros costs half of what syncing a file that grows does, and a third of the time: there is no
 * new length and no new block to be noted by the file system.
 */
export interface Spare {
  /** Begins to make it, unless there is one or it is being made. */
  make(): void;
  readonly isReady: boolean;
  /** Moves it to `path` and hands it over, open for writing; null when there is none. */
  take(path: string): number | null;
  /** Removes it, and makes no more. */
  drop(): void;
}

export const SPARE_SUFFIX = '.spare';
/** Written and synced at a time, so that the syncs of others do not wait for all of it. */
const PORTION_BYTES = 1024 * 1024;

export function createSpare(path: string, bytes: number): Spare {
  let state: 'none' | 'making' | 'ready' | 'failed' | 'dropped' = 'none';
  let fd = -1;

  function fill(at: number): void {
    if (state === 'dropped') return removed();
    if (at >= bytes) {
      state = 'ready';
      return;
    }
    write(fd, Buffer.alloc(Math.min(PORTION_BYTES, bytes - at)), 0, null, at, (error, written) => {
      if (error !== null) return giveUp();
      fdatasync(fd, (syncError) => {
        if (syncError === null) fill(at + written);
        else giveUp();
      });
    });
  }

  /** It is tried again for the next file; a disk that errs is found out by whoever has something to write. */
  function giveUp(): void {
    fail();
    removed();
  }

  function fail(): void {
    if (state === 'making') state = 'failed';
  }

  function removed(): void {
    close(fd, () => undefined);
    unlink(path, () => undefined);
  }

  return {
    make() {
      if (state !== 'none') return;
      state = 'making';
      open(path, 'w', 0o600, (error, opened) => {
        if (error !== null) fail();
        else {
          fd = opened;
          fill(0);
        }
      });
    },
    get isReady() {
      return state === 'ready';
    },
    take(to) {
      if (state === 'failed') state = 'none';
      if (state !== 'ready') return null;
      renameSync(path, to);
      state = 'none';
      return fd;
    },
    drop() {
      if (state === 'ready') {
        closeSync(fd);
        unlinkSync(path);
      }
      state = 'dropped';
    },
  };
}
