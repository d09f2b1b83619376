// The golden bytes: what real Java and Go clients and the real Java server put on the wire, one frame a line.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface CapturedFrame {
  readonly n: number
  readonly conn: number
  readonly dir: 'c2s' | 's2c'
  /** Since the conversation began. */
  readonly t_us: number
  readonly version?: number
  readonly messageType?: number | null
  readonly serializer?: number
  readonly compressor?: number
  readonly id?: number
  readonly headMap?: Record<string, string | null>
  /** Seata type code of the decompressed body; the message's name in protobuf; null without a body. */
  readonly bodyTypeCode?: number | string | null
  readonly hex?: string
  readonly event?: 'open' | 'fin' | 'reset'
  /** Set where the bytes are no frame. */
  readonly error?: string
}

export interface Capture {
  /** `java-2.6.0/tcc` */
  readonly name: string
  readonly client: string
  readonly frames: readonly CapturedFrame[]
}

const root = import.meta.dirname

export function captures(): Capture[] {
  const found: Capture[] = []
  for (const client of readdirSync(join(root, 'captures'))) {
    for (const file of readdirSync(join(root, 'captures', client))) {
      const lines = readFileSync(join(root, 'captures', client, file), 'utf8')
        .trim()
        .split('\n')
      const frames = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as CapturedFrame)
      found.push({ name: `${client}/${file.replace('.frames.jsonl', '')}`, client, frames })
    }
  }
  return found
}

export interface JavaBody {
  readonly name: string
  readonly version: 0 | 1 | 2
  readonly type: number
  readonly fields: Buffer
}

/** Bodies that the real Java codecs printed, without their type code. */
export function javaBodies(): JavaBody[] {
  const lines = readFileSync(join(root, 'java-bodies.txt'), 'utf8').split('\n')
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [name, version, type, hex] = line.split(' ')
      return {
        name: name!,
        version: Number(version!.slice(1)) as 0 | 1 | 2,
        type: Number(type!.slice('type='.length)),
        fields: Buffer.from(hex!, 'hex')
      }
    })
}

/** What Java's compressors made of one body. */
export function javaCompressors(): Map<string, Buffer> {
  const lines = readFileSync(join(root, 'java-compressors.txt'), 'utf8').split('\n')
  const pairs = lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(/\s+/))
  return new Map(pairs.map((words) => [words[0]!, Buffer.from(words.at(-1)!, 'hex')]))
}
