// Written by hand around the client of openapi-generator's typescript-fetch. Outside of browsers it asks for a fetch.
import { AuthApi, Configuration, MeApi } from './generated/index.ts'

const [basePath = '', username = '', password = ''] = process.argv.slice(2)
let token = ''
const configuration = new Configuration({ basePath, fetchApi: globalThis.fetch, accessToken: () => token })
const auth = new AuthApi(configuration)
const own = new MeApi(configuration)
const pair = await auth.login({ credentials: { username, password } })
if (pair.refreshToken === undefined) throw new Error('A bearer client gets a refresh token.')
token = pair.accessToken
const me = await own.getMe()
if (me.username !== username || !(me.createdAt instanceof Date)) throw new Error('It is another user.')
const first = await own.listSecurityEvents({ limit: 1 })
if (first.nextCursor === null) throw new Error('There is no second page.')
const second = await own.listSecurityEvents({ limit: 1, cursor: first.nextCursor })
if (second.events[0]?.id === first.events[0]?.id) throw new Error('The second page is the first one.')
const next = await auth.refresh({ refreshInput: { refreshToken: pair.refreshToken } })
token = next.accessToken
await auth.logout({})
const refused: unknown = await own.getMe().catch((error: unknown) => error)
if (!(refused instanceof Response) || (await refused.json()).error !== 'token_revoked') {
  throw new Error('The token is accepted after the logout.')
}
