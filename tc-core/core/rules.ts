// The rules that make row locks safe across fragments, by name, so that the code says where it keeps each and a test can take it out and
// see what breaks. An owner is the fragment of a transaction, a home the fragment that guards a row.

export const RULES = {
  'linear-answers':
    "a home's question is answered by a leader that certainly led after it came, never by a deposed one",
  'ask-again': 'a branch whose register is still under way is needed',
  'never-guess': 'a branch that an earlier leader may have acknowledged is not removed because nobody says so',
  'unlock-owner': 'rows are freed for one branch of one transaction, and a row is free when its last branch lets go',
  'wait-for-log': 'a home confirms locked rows only when they are in its log',
  'both-confirmed':
    "a register is acknowledged only when the branch is in the owner's log and every home has confirmed",
  'decision-first': 'homes are told to free rows only when what frees them is in the log of the owner',
  sweep: 'locks are questioned until their branch is known to need them no more'
} as const

/** And those by which a request that is sent again stays one request. */
export const REPEAT_RULES = {
  'same-begin': 'a begin that comes again gets the transaction that it began',
  'same-branch': 'a register that comes again gets the branch that it registered'
} as const

export type Rule = keyof typeof RULES | keyof typeof REPEAT_RULES

/** Whether a rule is kept: always, but for the test that shows what it is for. */
export function keeps(f: { readonly settings: { readonly without?: Rule } }, rule: Rule): boolean {
  return f.settings.without !== rule
}
