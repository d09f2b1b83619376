// How TM and RM introduce themselves, and the answers: without a reason in frames v0 and v1, with one in v2.
import { bool8, type Dialect, str16, str32, u8, when } from '../fields.ts'
import { table } from '../message.ts'

const identify = { version: str16, applicationId: str16, transactionServiceGroup: str16, extraData: str16 }
const v2 = (_: unknown, d: Dialect): boolean => d.version === 2
const v2Failed = (m: { resultCode?: unknown }, d: Dialect): boolean => d.version === 2 && m.resultCode === 0

const registerResult = { resultCode: when(v2, u8, 1), msg: when(v2Failed, str16), identified: bool8, version: str16 }

export const RegisterTM = table(101, 'RegisterTM', identify)
export const RegisterTMResult = table(102, 'RegisterTMResult', registerResult)
/** `resourceIds`: joined by commas, additive to what the channel registered before. */
export const RegisterRM = table(103, 'RegisterRM', { ...identify, resourceIds: str32 })
export const RegisterRMResult = table(104, 'RegisterRMResult', registerResult)
export const UnregisterRM = table(105, 'UnregisterRM', { ...identify, resourceIds: str32 })
/** The same in every frame version. */
export const UnregisterRMResult = table(106, 'UnregisterRMResult', { identified: bool8, version: str16 })
