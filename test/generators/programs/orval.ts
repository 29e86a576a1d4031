// Written by hand around the functions of orval. Its own addresses are relative.
import { getMe, listSecurityEvents, login, logout, refresh } from './generated.ts'

const [baseUrl = '', username = '', password = ''] = process.argv.slice(2)
const { fetch: send } = globalThis
globalThis.fetch = (input, init) => send(`${baseUrl}${String(input)}`, init)
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const opened = await login({ username, password })
if (opened.status !== 200) throw new Error('The login failed.')
const options = bearer(opened.data.access_token)
const me = await getMe(options)
if (me.status !== 200 || me.data.username !== username) throw new Error('It is another user.')
const first = await listSecurityEvents({ limit: 1 }, options)
if (first.status !== 200 || first.data.next_cursor === null) throw new Error('There is no second page.')
const second = await listSecurityEvents({ limit: 1, cursor: first.data.next_cursor }, options)
if (second.status !== 200 || second.data.events[0]?.id === first.data.events[0]?.id) {
  throw new Error('The second page is the first one.')
}
if (opened.data.refresh_token === undefined) throw new Error('A bearer client gets a refresh token.')
const next = await refresh({ refresh_token: opened.data.refresh_token })
if (next.status !== 200) throw new Error('The refresh failed.')
const renewed = bearer(next.data.access_token)
if ((await logout({}, undefined, renewed)).status !== 200) throw new Error('The logout failed.')
const refused = await getMe(renewed)
if (refused.status !== 401 || refused.data.error !== 'token_revoked') {
  throw new Error('The token is accepted after the logout.')
}
