// Prometheus' text format as a scraper reads it: strict, so that what is odd is seen.
export interface Scraped {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/

/** Throws on a line that is none. */
export function parseMetrics(text: string): Scraped[] {
  return text.split('\n').flatMap((line) => {
    if (line === '' || line.startsWith('#')) return []
    const found = LINE.exec(line)
    if (!found) throw new Error(`no sample: ${line}`)
    const [, name, pairs = '', value] = found
    const labels: Record<string, string> = {}
    for (const [, key, text] of pairs.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)/g)) labels[key!] = text!
    return [{ name: name!, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) }]
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
