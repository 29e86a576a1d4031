// Written by hand around the types of openapi-typescript, with openapi-fetch.
import createClient from 'openapi-fetch'
import type { paths } from './generated.ts'

const [baseUrl = '', username = '', password = ''] = process.argv.slice(2)
const signedOut = createClient<paths>({ baseUrl })
const { data: pair } = await signedOut.POST('/login', { body: { username, password } })
if (pair?.refresh_token === undefined) throw new Error('The login failed.')
const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${pair.access_token}` } })
const { data: me } = await client.GET('/me')
if (me?.username !== username || me.role !== 'user') throw new Error('It is another user.')
const { data: first } = await client.GET('/me/security-events', { params: { query: { limit: 1 } } })
const cursor = first?.next_cursor
if (typeof cursor !== 'string') throw new Error('There is no second page.')
const { data: second } = await client.GET('/me/security-events', { params: { query: { limit: 1, cursor } } })
if (second?.events[0]?.id === first?.events[0]?.id) throw new Error('The second page is the first one.')
const { data: next } = await signedOut.POST('/refresh', { body: { refresh_token: pair.refresh_token } })
if (next === undefined) throw new Error('The refresh failed.')
const headers = { authorization: `Bearer ${next.access_token}` }
const { data: done } = await signedOut.POST('/logout', { headers })
if (done?.message !== 'Successfully logged out') throw new Error('The logout failed.')
const { error } = await signedOut.GET('/me', { headers })
if (error?.error !== 'token_revoked') throw new Error('The token is accepted after the logout.')
