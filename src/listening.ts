import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Where the server listens. */
interface Place {
  readonly HOST: string;
  readonly PORT: number;
}

/** What a slow or malicious client may take: see the anchors of Node's own defaults. */
export const SERVER_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 65_000,
};

/** Throws what kept the server from listening. */
export async function listen(server: Server, { HOST, PORT }: Place): Promise<void> {
  server.listen(PORT, HOST);
  try {
    await once(server, 'listening');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    throw new Error(`Port ${PORT} is taken. Stop the other program, or set PORT.`, { cause: error });
  }
}

export function urlOf(server: Server, { HOST }: Place): string {
  const { port } = server.address() as AddressInfo;
  const host = ['0.0.0.0', '::', '127.0.0.1'].includes(HOST) ? 'localhost' : HOST;
  return `http://${host}:${port}`;
}
