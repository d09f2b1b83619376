// Loaded into a coordinator under test (`--import`): on SIGUSR2 it collects garbage and says how many bytes are in use.
process.on('SIGUSR2', () => {
  const { gc } = globalThis as { gc?: () => void }
  gc?.()
  const { heapUsed, external } = process.memoryUsage()
  process.stdout.write(`in use: ${heapUsed + external}\n`)
})
