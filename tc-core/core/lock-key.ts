// The grammar of a lock key: `table:pk,pk;table:pk`, as Seata's server reads it.

export interface Row {
  readonly table: string
  readonly pk: string
}

/** A row as texts name it. */
export function rowName({ table, pk }: Row): string {
  return `${table}:${pk}`
}

/**
 * The rows of a lock key, in order. A part without `:` or without keys ends the reading, and what was found so far counts; blank keys are
 * skipped. (Java's rules: its parser gives up there without an error.)
 */
export function parseLockKey(lockKey: string): Row[] {
  const rows: Row[] = []
  if (lockKey === '') return rows
  for (const part of lockKey.split(';')) {
    const colon = part.indexOf(':')
    if (colon < 0) break
    const table = part.slice(0, colon)
    const keys = part.slice(colon + 1)
    if (keys.trim() === '') break
    for (const pk of keys.split(',')) if (pk.trim() !== '') rows.push({ table, pk })
  }
  return rows
}

/** A lock key of these rows: reading it gives them again, those of one table together. */
export function writeLockKey(rows: readonly Row[]): string {
  const tables = new Map<string, string[]>()
  for (const { table, pk } of rows) {
    const keys = tables.get(table)
    if (keys) keys.push(pk)
    else tables.set(table, [pk])
  }
  return [...tables].map(([table, keys]) => `${table}:${keys.join(',')}`).join(';')
}
