// Prometheus' text format, and OpenMetrics', as a scraper reads it: strict, so that what is odd is seen.
export interface Scraped {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  /** Of OpenMetrics: the trace of one observation, what was observed, and when (Unix s). */
  readonly exemplar?: { readonly traceId: string; readonly value: number; readonly at: number } | undefined
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*?)\})? (\S+)(?: # \{trace_id="([0-9a-f]{32})"\} (\S+) (\S+))?$/

/** Throws on a line that is none. */
export function parseMetrics(text: string): Scraped[] {
  return text.split('\n').flatMap((line) => {
    if (line === '' || line.startsWith('#')) return []
    const found = LINE.exec(line)
    if (!found) throw new Error(`no sample: ${line}`)
    const [, name, pairs = '', text, traceId, observed, at] = found
    const labels: Record<string, string> = {}
    for (const [, key, text] of pairs.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)/g)) labels[key!] = text!
    const value = text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text)
    const exemplar = traceId === undefined ? undefined : { traceId, value: Number(observed), at: Number(at) }
    return { name: name!, labels, value, exemplar }
  })
}

/** The one sample that has these labels; undefined when there is none. */
export function sampleOf(
  samples: readonly Scraped[],
  name: string,
  labels: Record<string, string> = {}
): number | undefined {
  const fits = (sample: Scraped) =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
  return samples.find(fits)?.value
}
