// Body compressors by their byte in the frame: what each is called, how it packs, and how it unpacks up to a limit.
import {
  constants,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync
} from 'node:zlib'
import Bunzip from 'seek-bzip'
import { pack7z, unpack7z } from './compress-7z.ts'
import { unpackLz4 } from './compress-lz4.ts'
import { packZip, unpackZip } from './compress-zip.ts'
import { MAX_SLOW_UNPACKED_BYTES } from './limits.ts'

/** The frame's compressor byte. Seata left 7z out of its clients with 1.8. */
export const Compressor = { None: 0, Gzip: 1, Zip: 2, SevenZ: 3, Bzip2: 4, Lz4: 5, Deflater: 6, Zstd: 7 } as const

interface Algorithm {
  /** Without it, what goes back is not compressed: a client looks at each frame's own byte. */
  compress?(body: Uint8Array): Buffer
  /** Throws when the bytes are something else, or as soon as more than `max` come out. */
  decompress(body: Buffer, max: number): Buffer
}

const algorithms: readonly (Algorithm | undefined)[] = Object.assign([] as (Algorithm | undefined)[], {
  [Compressor.Gzip]: {
    compress: (b) => gzipSync(b),
    decompress: (b, maxOutputLength) => gunzipSync(b, { maxOutputLength })
  },
  [Compressor.Zip]: { compress: packZip, decompress: unpackZip },
  [Compressor.SevenZ]: {
    compress: pack7z,
    decompress: (b, max) => unpack7z(b, Math.min(max, MAX_SLOW_UNPACKED_BYTES))
  },
  [Compressor.Bzip2]: { decompress: (b, max) => unpackBzip2(b, Math.min(max, MAX_SLOW_UNPACKED_BYTES)) },
  [Compressor.Lz4]: { decompress: unpackLz4 },
  [Compressor.Deflater]: {
    compress: (b) => deflateSync(b),
    decompress: (b, maxOutputLength) => inflateSync(b, { maxOutputLength })
  },
  [Compressor.Zstd]: {
    // Java's decoder up to 2.5 wants the content's size in the frame's header.
    compress: (b) => zstdCompressSync(b, { params: { [constants.ZSTD_c_contentSizeFlag]: 1 } }),
    decompress: (b, maxOutputLength) => zstdDecompressSync(b, { maxOutputLength })
  }
} satisfies Record<number, Algorithm>)

export function isKnownCompressor(compressor: number): boolean {
  return compressor === Compressor.None || algorithms[compressor] !== undefined
}

/** Whether bodies can be packed with it, or only unpacked. */
export function packs(compressor: number): boolean {
  return algorithms[compressor]?.compress !== undefined
}

export function compress(compressor: number, body: Uint8Array): Uint8Array {
  return algorithms[compressor]?.compress?.(body) ?? body
}

/** Throws when the bytes are not what the compressor writes, or would grow past `maxBytes`. */
export function decompress(compressor: number, body: Uint8Array, maxBytes: number): Buffer {
  const algorithm = algorithms[compressor]
  if (!algorithm) throw new Error(`compressor ${compressor} is not known`)
  return algorithm.decompress(Buffer.from(body.buffer, body.byteOffset, body.length), maxBytes)
}

/** The letters BZ, which Java's classes leave out in front. */
const BZ = Buffer.of(0x42, 0x5a)
/** Of a stream without blocks. */
const EMPTY_BZIP2_BYTES = 12
/** Where it says, as a digit, how many 100,000 bytes a block may hold. */
const BLOCK_SIZE = 3
const DIGIT_0 = 0x30
/** Java always says nine, and room for as many numbers is made for every stream. Packed bytes that it takes to be given another 100,000. */
const BYTES_A_BLOCK_SIZE = 1000

function unpackBzip2(body: Buffer, max: number): Buffer {
  if (body.length < EMPTY_BZIP2_BYTES) throw new RangeError('bzip2 that is not all there')
  const out: number[] = []
  const stream = {
    writeByte(byte: number): void {
      if (out.push(byte) > max) throw new Error(`more than ${max} bytes come out of it`)
    }
  }
  const whole = Buffer.concat([BZ, body])
  const room = DIGIT_0 + Math.ceil(body.length / BYTES_A_BLOCK_SIZE)
  whole[BLOCK_SIZE] = Math.min(whole[BLOCK_SIZE]!, room)
  Bunzip.decode(whole, stream)
  return Buffer.from(out)
}
