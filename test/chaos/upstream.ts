/** The simulated upstream as a process of its own, which nobody kills: its books say what really was produced. */
import { startSimulatedUpstream } from '../../src/demo/simulated-upstream.ts';

const [latencyMs, chunkDelayMs, callsMax] = process.argv.slice(2).map(Number);
const upstream = await startSimulatedUpstream({
  latencyMs: latencyMs ?? 0,
  chunkDelayMs: chunkDelayMs ?? 0,
  chunkCount: 16,
  callsMax: callsMax ?? 0,
});
process.on('disconnect', () => process.exit(0));
process.send?.({ url: upstream.url });
