/**
 * Loaded before the program (`node --import`), it sets its clock back by the milliseconds that stand in the
 * file MOVED_CLOCK_FILE, and follows when they change. What is measured by the monotonic clock stays.
 */
import { readFileSync } from 'node:fs';

const FOLLOW_MS = 20;

const file = process.env['MOVED_CLOCK_FILE'] ?? '';
const here = Date.now.bind(Date);
let backMs = Number(readFileSync(file, 'utf8'));
setInterval(() => {
  const text = readFileSync(file, 'utf8');
  if (text !== '') backMs = Number(text);
}, FOLLOW_MS).unref();
const now = () => here() - backMs;

globalThis.Date = new Proxy(Date, {
  construct: (real, args: []) => (args.length === 0 ? new real(now()) : Reflect.construct(real, args)),
  get: (real, name) => (name === 'now' ? now : (Reflect.get(real, name) as unknown)),
});
