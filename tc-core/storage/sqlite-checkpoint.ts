// Writes the write-ahead log back into the database, beside the thread that goes on writing.
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

const db = new DatabaseSync(workerData as string)
// NORMAL: a checkpoint flushes what it has to in every mode; this connection commits nothing.
db.exec('PRAGMA synchronous = NORMAL')

parentPort!.on('message', () => {
  try {
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
  } catch {
    // Tried again with the next.
  }
  parentPort!.postMessage('done')
})
