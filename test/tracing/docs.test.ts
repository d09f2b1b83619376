// docs/tracing.md names every span, event, attribute and metric that there is.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { GatewayFigures } from '../../gateway/figures.ts'
import { NodeFigures } from '../../tc-core/host/figures.ts'
import { Attribute, EventName, SpanName } from '../../tc-core/wire/tracing.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/tracing.md'), 'utf8')

test('every span, event and attribute is named, and none that is not', (t) => {
  const words = [...Object.values(SpanName), ...Object.values(EventName), ...Object.values(Attribute)]
  for (const word of words) t.true(page.includes(`\`${word}\``), word)
  const named = [...page.matchAll(/`(seata\.[a-z.]+)`/g)].map(([, word]) => word!)
  for (const word of named) t.true((words as string[]).includes(word), word)
})

test('every metric belongs to a family that is named', (t) => {
  const zero = () => 0
  const families = [
    ...new NodeFigures().families('n', () => [], 1),
    ...new GatewayFigures().families({ connections: zero, waiting: zero, parked: zero, calls: zero })
  ]
  t.true(families.length > 20)
  for (const { name } of families) {
    const family = name.split('_').slice(0, 2).join('_')
    t.true(page.includes(`\`${family}\``) || page.includes(`\`${family}_…\``), name)
  }
})
