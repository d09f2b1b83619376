// Body compressors by their byte in the frame, on Node's own zlib.
import {
  constants,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync
} from 'node:zlib'

/** The frame's compressor byte. */
export const Compressor = { None: 0, Gzip: 1, Zip: 2, SevenZ: 3, Bzip2: 4, Lz4: 5, Deflater: 6, Zstd: 7 } as const

interface Algorithm {
  compress(body: Uint8Array): Buffer
  decompress(body: Uint8Array, limits: { maxOutputLength: number }): Buffer
}

const algorithms: readonly (Algorithm | undefined)[] = Object.assign([] as (Algorithm | undefined)[], {
  [Compressor.Gzip]: { compress: (b) => gzipSync(b), decompress: (b, limits) => gunzipSync(b, limits) },
  [Compressor.Deflater]: { compress: (b) => deflateSync(b), decompress: (b, limits) => inflateSync(b, limits) },
  [Compressor.Zstd]: {
    // Java's decoder up to 2.5 wants the content's size in the frame's header.
    compress: (b) => zstdCompressSync(b, { params: { [constants.ZSTD_c_contentSizeFlag]: 1 } }),
    decompress: (b, limits) => zstdDecompressSync(b, limits)
  }
} satisfies Record<number, Algorithm>)

export function isKnownCompressor(compressor: number): boolean {
  return compressor === Compressor.None || algorithms[compressor] !== undefined
}

export function compress(compressor: number, body: Uint8Array): Uint8Array {
  return algorithms[compressor]?.compress(body) ?? body
}

/** Throws when the bytes are not what the compressor writes, or would grow past `maxBytes`. */
export function decompress(compressor: number, body: Uint8Array, maxBytes: number): Buffer {
  const algorithm = algorithms[compressor]
  if (!algorithm) throw new Error(`compressor ${compressor} is not known`)
  return algorithm.decompress(body, { maxOutputLength: maxBytes })
}
