// Pictures for the docs, drawn by hand as SVG: bars of ratios, and curves over a logarithmic axis.

export interface Bar {
  readonly group: string
  readonly label: string
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Curve {
  readonly title: string
  readonly xName: string
  readonly yName: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

const WIDTH = 760
const ROW = 20
const LEFT = 230
const RIGHT = 70
const FONT = 'font-family="sans-serif" font-size="12"'
const COLOURS = ['#2f6f9f', '#5a9e6f', '#b07d3c', '#8a5a9e', '#9e5a5a', '#557']

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const round = (value: number) => Math.round(value * 10) / 10

function text(x: number, y: number, words: string, more = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" ${more}>${escaped(words)}</text>`
}

function svg(height: number, title: string, parts: readonly string[]): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${FONT} fill="#222" role="img">`
  return [
    head,
    `<title>${escaped(title)}</title>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...parts,
    '</svg>',
    ''
  ].join('\n')
}

/** Ratios as bars from 0, with their spread; a line where both are equal. */
export function bars(title: string, all: readonly Bar[]): string {
  const most = Math.max(1, ...all.map(({ max }) => max))
  const x = (value: number) => LEFT + (value / most) * (WIDTH - LEFT - RIGHT)
  const groups = [...new Set(all.map(({ group }) => group))]
  const parts = [text(10, 20, title, 'font-weight="bold"')]
  let y = 34
  for (const [g, group] of groups.entries()) {
    parts.push(text(10, y + 14, group, 'font-weight="bold" fill="#555"'))
    y += ROW
    for (const { label, median, min, max } of all.filter((bar) => bar.group === group)) {
      const middle = y + ROW / 2
      const colour = COLOURS[g % COLOURS.length]
      parts.push(
        text(LEFT - 8, middle + 4, label, 'text-anchor="end"'),
        `<rect x="${LEFT}" y="${y + 3}" width="${round(x(median) - LEFT)}" height="${ROW - 6}" fill="${colour}"/>`,
        `<line x1="${round(x(min))}" x2="${round(x(max))}" y1="${middle}" y2="${middle}" stroke="#222"/>`,
        text(x(max) + 6, middle + 4, `${median.toFixed(1)} ×`)
      )
      y += ROW
    }
    y += 8
  }
  parts.push(`<line x1="${round(x(1))}" x2="${round(x(1))}" y1="34" y2="${y}" stroke="#b00" stroke-dasharray="3 3"/>`)
  return svg(y + 8, title, parts)
}

const PLOT = { width: 300, height: 130, left: 60, top: 44, gap: 380, tall: 230 }

/** Small plots, two in a row: x is logarithmic, y begins at 0. */
export function curves(title: string, all: readonly Curve[]): string {
  const parts = [text(10, 20, title, 'font-weight="bold"')]
  for (const [i, curve] of all.entries()) {
    const [left, top] = [(i % 2) * PLOT.gap + PLOT.left, Math.floor(i / 2) * PLOT.tall + PLOT.top]
    parts.push(...plot(curve, left, top, COLOURS[i % COLOURS.length]!))
  }
  return svg(Math.ceil(all.length / 2) * PLOT.tall + 40, title, parts)
}

function plot({ title, xName, yName, points }: Curve, left: number, top: number, colour: string): string[] {
  const xs = points.map(({ x }) => Math.log10(x))
  const [first, last] = [Math.min(...xs), Math.max(...xs)]
  const most = Math.max(...points.map(({ y }) => y)) * 1.1
  const [bottom, width] = [top + 20 + PLOT.height, PLOT.width]
  const at = points.map(({ x, y }) => [
    round(left + (last === first ? 0 : (Math.log10(x) - first) / (last - first)) * width),
    round(bottom - (y / most) * PLOT.height)
  ])
  const short = (value: number) => value.toLocaleString('en-US', { notation: 'compact', maximumFractionDigits: 1 })
  return [
    text(left, top + 8, `${title}: ${yName}`, 'font-weight="bold" fill="#555"'),
    `<path d="M${left} ${top + 20}V${bottom}H${left + width}" fill="none" stroke="#999"/>`,
    text(left - 6, bottom - PLOT.height + 6, short(most), 'text-anchor="end" fill="#555"'),
    text(left - 6, bottom, '0', 'text-anchor="end" fill="#555"'),
    `<polyline points="${at.map((point) => point.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...at.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3" fill="${colour}"/>`),
    ...at.map(([x], i) => text(x!, bottom + 14, short(points[i]!.x), 'text-anchor="middle" fill="#555"')),
    text(left + width, bottom + 30, xName, 'text-anchor="end" fill="#555"')
  ]
}
