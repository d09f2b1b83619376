// The rules that make the log safe over set-if-absent, by name, so that the code says where it keeps each and a test can take it out
// and see what breaks.

export const RULES = {
  'lead-stays': 'lead records are never trimmed: an old leader on its way forward runs into the next one',
  'claim-checks': 'after a claim the manifests are read again; a claim at or below a snapshot is void',
  'snapshot-wins': 'a record at or below a newer snapshot is ignored, whatever a read returns',
  seal: "a new leader fills the indexes of the old leader's window before its first append",
  'last-word':
    'a leader that passes the lead on has nothing on the way and appends nothing more: its heir need not seal',
  'ack-in-order': 'an append counts only when every earlier one is confirmed',
  'stale-skipped': 'a record of a lower term than one already seen is skipped by every reader',
  'same-bytes': 'an append that meets bytes at its index compares them: other bytes mean that another leads',
  'manifest-first': 'records are deleted only after the manifest that covers them is confirmed'
} as const

/** And those that leaders and readers keep besides. */
export const MORE_RULES = {
  'reply-after-log': 'nothing leaves a leader before its record, and every record before it, is confirmed',
  'prove-reads': 'what tells of the state leaves when it is certain that the leader still led after it was asked',
  'stop-at-hole': 'a reader stops at the first index without a record',
  'same-index': 'an append of which nobody knows what became is tried again at the same index'
} as const

export type Rule = keyof typeof RULES | keyof typeof MORE_RULES

/** Whether a rule is kept: always, but for the test that shows what it is for. */
export function keeps(log: { readonly without?: Rule | undefined }, rule: Rule): boolean {
  return log.without !== rule
}
