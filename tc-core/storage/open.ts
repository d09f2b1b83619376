// Opens a store by its URL.
import { SeataError } from '../wire/errors.ts'
import { openMemory } from './memory.ts'
import type { Storage } from './port.ts'
import { openSqlite } from './sqlite.ts'

/** The forms of `--kv`, for messages and help. */
export const STORAGE_URLS = [
  'sqlite:DIR',
  'lmdb:DIR',
  'memory:',
  'etcd[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]',
  'redis[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][?reads=linearizable]'
] as const

/** Rejects with SEATA_STORE_OPEN_FAILED. A directory that is not there is created. */
export async function openStorage(url: string): Promise<Storage> {
  const [scheme, ...rest] = url.split(':')
  const address = rest.join(':')
  if (scheme === 'sqlite' && address !== '') return openSqlite(address)
  if (scheme === 'memory') return openMemory()
  // The others are loaded when they are wanted: LMDB has a library of its own, the clients take 0.2 s and 30 MB.
  if (scheme === 'lmdb' && address !== '') return (await import('./lmdb.ts')).openLmdb(address)
  if (scheme === 'redis' || scheme === 'rediss') return (await import('./redis.ts')).openRedis(url)
  if (scheme === 'etcd' || scheme === 'etcds') return (await import('./etcd.ts')).openEtcd(url)
  throw new SeataError('SEATA_STORE_OPEN_FAILED', [
    url.replace(/\/\/.*@/, '//'),
    `a store is one of ${STORAGE_URLS.join(', ')}`
  ])
}
