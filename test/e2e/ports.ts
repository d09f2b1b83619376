// Ports for servers that are to come back on the same one: from below the range out of which the system takes ports for connections,
// so that nobody else has it in between.
import { createServer } from 'node:net'

const LOWEST = 10_240
const COUNT = 22_000

/** A port of 127.0.0.1 on which nobody listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * COUNT)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
