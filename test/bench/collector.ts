// An OTLP endpoint that takes spans and throws them away, so that what is measured is the cost of tracing alone.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Collector {
  readonly endpoint: string
  /** Bytes that came. */
  bytes(): number
  close(): void
}

export async function startCollector(): Promise<Collector> {
  let bytes = 0
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('end', () => response.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => bytes,
    close: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}
