// Writes the write-ahead log back into the database, beside the thread that goes on writing.
import { DatabaseSync } from 'node:sqlite'
import { workerData } from 'node:worker_threads'
import { Checkpointing, type SqliteThreadData } from './sqlite-protocol.ts'

const { path, shared } = workerData as Pick<SqliteThreadData, 'path' | 'shared'>
const asked = new Checkpointing(shared)
let db: DatabaseSync | null = null

function open(): DatabaseSync {
  const opened = new DatabaseSync(path)
  // NORMAL: a checkpoint flushes what it has to in every mode; this connection commits nothing.
  opened.exec('PRAGMA synchronous = NORMAL')
  return opened
}

// Nothing ends it: the database thread, which waits for nothing but what is asked of it, would not hear of that.
for (;;) {
  asked.wait()
  try {
    db ??= open()
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
  } catch {
    // Tried again with the next.
  }
  asked.made()
}
