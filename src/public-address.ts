import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';

/**
 * What this server calls because somebody typed an address must not be this server's own network: names
 * are resolved here, every address that comes has to be a public one, and the connection is made to the
 * very address that was looked at. Hosts that the administrator named in the settings are let through.
 */
export interface CheckedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** The host is not a public one, or has no address. The message says which. */
export class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress';
}

const NOT_PUBLIC = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  NOT_PUBLIC.addSubnet(network, prefix, 'ipv4');
}
/** Of IPv6, only what is handed out to the public is public; within it are these exceptions. */
const GLOBAL_V6 = new BlockList();
GLOBAL_V6.addSubnet('2000::', 3, 'ipv6');
for (const [network, prefix] of [
  // Teredo, ORCHID, documentation, and 6to4, which holds an IPv4 address.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  NOT_PUBLIC.addSubnet(network, prefix, 'ipv6');
}

export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !NOT_PUBLIC.check(address, 'ipv4');
  return family === 6 && GLOBAL_V6.check(address, 'ipv6') && !NOT_PUBLIC.check(address, 'ipv6');
}

/** `allowed` are host names and addresses. Throws ForbiddenAddress. */
export async function checkedAddress(host: string, allowed: readonly string[]): Promise<CheckedAddress> {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  const found = await lookup(name, { all: true }).catch(() => []);
  const [first] = found;
  if (first === undefined) throw new ForbiddenAddress(`${name} has no address`);
  const isAllowed = allowed.some((one) => one.toLowerCase() === name);
  if (!isAllowed && !found.every(({ address }) => isPublicAddress(address))) {
    throw new ForbiddenAddress(`${name} is not a public address; ALERT_HOSTS_ALLOWED does not name it`);
  }
  return { address: first.address, family: first.family === 6 ? 6 : 4 };
}
