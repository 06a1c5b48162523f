// Takes the lock of a folder, says how it went and waits to be killed: node lock-instance.mjs <folder>
// Runs what `npm run build` made, because the oldest supported Node.js does not read TypeScript.
import { lockInstance } from '../../dist/src/instance-lock.js';

console.log(
  await lockInstance(process.argv[2]).then(
    () => 'locked',
    (error) => error.message,
  ),
);
setInterval(() => {}, 1_000);
