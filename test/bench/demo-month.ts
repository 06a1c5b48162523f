/** Thirty days of an agency's work, sent through the gateway of a program whose clock moves. */
import type { DemoConsole } from './demo-console.ts';

export const MONTH_DAYS = 30;
const HOURS = [9, 13, 17] as const;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const TRIES = 20;
const WAIT_MS = 100;

interface Made {
  readonly projects: readonly {
    readonly keys: readonly { readonly environment: string; readonly secret: string }[];
  }[];
}

const CUSTOMERS = [
  {
    name: 'Hanse Verlag GmbH',
    plan: 'agency',
    billing: {
      name: 'Hanse Verlag GmbH',
      street: 'Speicherweg 21',
      postal_code: '23552',
      city: 'Lübeck',
      country: 'DE',
      email: 'rechnungen@hanse-verlag.example',
      language: 'de',
    },
    projects: [{ name: 'Lektorat' }, { name: 'Archiv-Suche' }, { name: 'Leserservice' }],
  },
  {
    name: 'Auwald Versand GmbH',
    plan: 'agency',
    billing: {
      name: 'Auwald Versand GmbH',
      street: 'Pleißenufer 8',
      postal_code: '04109',
      city: 'Leipzig',
      country: 'DE',
      email: 'buchhaltung@auwald.example',
      language: 'de',
    },
    projects: [{ name: 'Produkttexte' }, { name: 'Kundenservice' }],
  },
] as const;

/** Customers that work every day, at weekends less; ends with the clock at now. */
export async function liveThrough(demo: DemoConsole, setBack: (ms: number) => void): Promise<void> {
  const secrets: string[] = [];
  for (const customer of CUSTOMERS) {
    const { projects } = await demo.api<Made>('/api/tenants', customer);
    const live = projects.flatMap(({ keys }) =>
      keys.filter(({ environment }) => environment === 'production'),
    );
    secrets.push(...live.map(({ secret }) => secret));
  }
  const midnight = new Date().setUTCHours(0, 0, 0, 0);
  for (let day = MONTH_DAYS - 1; day >= 0; day -= 1) {
    for (const hour of HOURS) {
      const at = midnight - day * DAY_MS + hour * HOUR_MS;
      if (at > Date.now()) continue;
      setBack(Date.now() - at);
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      const share = isWeekend(at) ? 0.25 : 1;
      await Promise.all(secrets.map((secret, i) => send(demo.url, secret, day * 3 + i * 7 + hour, share)));
    }
  }
  setBack(0);
  await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
}

function isWeekend(at: number): boolean {
  return [0, 6].includes(new Date(at).getUTCDay());
}

/** Long texts with short answers; a clock that has just jumped may ask for patience. */
async function send(url: string, secret: string, seed: number, share: number): Promise<void> {
  const words = Math.round((3_000 + ((seed * 797) % 5_000)) * share);
  const body = JSON.stringify({
    model: seed % 3 === 0 ? 'demo-small' : 'demo-large',
    messages: [{ role: 'user', content: 'Leuchtturm '.repeat(words) }],
    max_tokens: 300,
  });
  for (let tried = 0; tried < TRIES; tried += 1) {
    const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
    await answer.text();
    if (answer.status !== 503) return;
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
}
