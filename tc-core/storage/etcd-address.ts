// An etcd URL taken apart: etcd://[user:pass@]h:p,h:p, or etcds:// for TLS.
import { SeataError } from '../wire/errors.ts'

export interface EtcdAddress {
  /** HOST:PORT of each member. */
  readonly members: readonly string[]
  readonly tls: boolean
  readonly login: { readonly name: string; readonly password: string } | null
  /** Without user and password: for people. */
  readonly url: string
}

const FORM = /^(etcds?):\/\/(?:([^@]*)@)?([^@/?#]+)\/?$/
const MEMBER = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+)(?::([0-9]{1,5}))?$/
const DEFAULT_PORT = 2379

/** Throws SEATA_STORE_OPEN_FAILED, with nothing of user and password in its words. */
export function readEtcdUrl(url: string): EtcdAddress {
  const [, scheme = '', user, list = ''] = FORM.exec(url) ?? []
  if (scheme === '') {
    throw refused('etcd://…', 'it has to be etcd://[USER:PASSWORD@]HOST:PORT,HOST:PORT,… (etcds:// for TLS)')
  }
  const shown = `${scheme}://${list}`
  const members = list.split(',').map((text) => {
    const [, host, port = DEFAULT_PORT] = MEMBER.exec(text) ?? []
    if (host === undefined || Number(port) > 65535) throw refused(shown, `"${text}" is not HOST:PORT`)
    return `${host}:${port}`
  })
  return { members, tls: scheme === 'etcds', login: user === undefined ? null : loginOf(user, shown), url: shown }
}

function loginOf(user: string, shown: string): EtcdAddress['login'] {
  const colon = user.indexOf(':')
  if (colon < 1) throw refused(shown, 'before the @ there has to be USER:PASSWORD')
  try {
    const [name, password] = [user.slice(0, colon), user.slice(colon + 1)].map(decodeURIComponent)
    return { name: name!, password: password! }
  } catch {
    throw refused(shown, 'user and password have to be percent-encoded')
  }
}

function refused(shown: string, why: string): SeataError {
  return new SeataError('SEATA_STORE_OPEN_FAILED', [shown, why])
}
