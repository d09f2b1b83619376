// The types of seek-bzip, which brings none: what of it is used here.
declare module 'seek-bzip' {
  interface Bunzip {
    /** Gives the unpacked bytes one by one; throws when the input is damaged, or what `writeByte` throws. */
    decode(input: Uint8Array, output: { writeByte(byte: number): void }): void
  }
  const bunzip: Bunzip
  export default bunzip
}
