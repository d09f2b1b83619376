// Addresses as people write them, `host:port`, and as others can dial them.
import { networkInterfaces } from 'node:os'

export interface Address {
  readonly host: string
  readonly port: number
}

/** IPv6 hosts may stand in brackets. Null: it is no address that can be dialled. */
export function parseAddress(text: string): Address | null {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, Math.max(colon, 0)).replace(/^\[|\]$/g, '')
  const port = Number(text.slice(colon + 1))
  return host !== '' && Number.isInteger(port) && port >= 0 && port <= 65535 ? { host, port } : null
}

export function formatAddress({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** An address that others can dial: where something listens, or when that is everywhere, the first that other machines can reach. */
export function reachable(listens: string): string {
  if (listens !== '0.0.0.0' && listens !== '::') return listens
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}
