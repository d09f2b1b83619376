#!/usr/bin/env node
// The executable. V8 keeps what it has compiled from one start to the next, so a process that is started again is up in half the time, and
// takes less from those that serve meanwhile. What is imported before that is set is not kept: so the commands come after it.
import { mkdirSync, statSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

const OTHERS_WRITE = 0o022

/** The folder, made if it is not there; null when it is not the user's alone, as under `sudo -E`: what others put there would run here. */
function cacheFolder(): string | null {
  const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fastify-seata')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = statSync(folder)
  const own = process.getuid === undefined || (uid === process.getuid() && (mode & OTHERS_WRITE) === 0)
  return own ? folder : null
}

try {
  const folder = cacheFolder()
  if (folder !== null) enableCompileCache(folder)
} catch {
  // No home, or nothing can be written there: everything is compiled anew.
}
const { tuneHeap } = await import('./heap.ts')
tuneHeap()
await import('./commands.ts')
