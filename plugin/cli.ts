#!/usr/bin/env node
// The executable. V8 keeps what it has compiled from one start to the next, so a process that is started again is up in half the time, and
// takes less from those that serve meanwhile. What is imported before that is set is not kept: so the commands come after it.
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Of the user alone: code in a folder that others write to would run here. */
function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fastify-seata')
}

try {
  enableCompileCache(cacheFolder())
} catch {
  // A user without a home: everything is compiled anew.
}
await import('./commands.ts')
