/** The simulated upstream as a process of its own. */
import { startSimulatedUpstream } from '../../src/demo/simulated-upstream.ts';
import { endWithParent, report } from './processes.ts';

const upstream = await startSimulatedUpstream({ chunkCount: 32 });
endWithParent();
report({ url: upstream.url });
