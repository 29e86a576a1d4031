// Written by hand around the client of hey-api.
import { client } from './generated/client.gen.ts'
import { getMe, listSecurityEvents, login, logout, refresh } from './generated/sdk.gen.ts'

const [baseUrl = '', username = '', password = ''] = process.argv.slice(2)
let token = ''
client.setConfig({ baseUrl, auth: () => token })
const { data: pair } = await login({ body: { username, password }, throwOnError: true })
if (pair.refresh_token === undefined) throw new Error('A bearer client gets a refresh token.')
token = pair.access_token
const { data: me } = await getMe({ throwOnError: true })
if (me.username !== username || me.role !== 'user') throw new Error('It is another user.')
const { data: first } = await listSecurityEvents({ query: { limit: 1 }, throwOnError: true })
if (first.next_cursor === null) throw new Error('There is no second page.')
const { data: second } = await listSecurityEvents({
  query: { limit: 1, cursor: first.next_cursor }, throwOnError: true
})
if (second.events[0]?.id === first.events[0]?.id) throw new Error('The second page is the first one.')
const { data: next } = await refresh({ body: { refresh_token: pair.refresh_token }, throwOnError: true })
token = next.access_token
const { data: done } = await logout({ throwOnError: true })
if (done.message !== 'Successfully logged out') throw new Error('The logout failed.')
const { error } = await getMe()
if (error === undefined || error.error !== 'token_revoked') {
  throw new Error('The token is accepted after the logout.')
}
