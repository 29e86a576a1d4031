// A program with users who send requests all the time, each in two tabs. It runs with a wall clock that jumps. It takes
// lines and prints one for each:
//
//   settle     when each tab has had some more answers: `settled`
//   sign-out   after the first user has signed out: `ended` or `pending`
//   stop       after all have stopped: a line of JSON
import { createInterface } from 'node:readline'
import { createClient, memoryStorage, type Client } from '../../client/index.ts'

const [baseUrl = '', password = '', ...usernames] = process.argv.slice(2)
const startedAt = performance.now()
const failures: string[] = []
const events: string[] = []
const answers = new Map<Client, number>()
const users: Array<{ tabs: Client[], serial: () => number, isGone: boolean }> = []
const over = new AbortController()

for (const username of usernames) {
  const storage = memoryStorage()
  const tabs = [0, 1].map(() => createClient({ baseUrl, storage, retryWithinMs: 60_000, timeoutMs: 3_000 }))
  for (const client of tabs) client.subscribe(({ type }) => { events.push(type) })
  await tabs[0]?.signIn({ username, password })
  users.push({
    tabs,
    serial: () => (JSON.parse(String(storage.get('signout:pair'))) as { serial: number }).serial,
    isGone: false
  })
}

async function keepAsking (user: typeof users[number], client: Client): Promise<void> {
  for (let turn = 0; !over.signal.aborted && !user.isGone; turn++) {
    try {
      await client.request(turn % 2 === 0 ? 'GET /me' : 'GET /token')
      answers.set(client, (answers.get(client) ?? 0) + 1)
    } catch (error) {
      if (!user.isGone) failures.push((error as { code: string }).code)
    }
    await new Promise(resolve => setTimeout(resolve, 40))
  }
}
const asking = users.flatMap(user => user.tabs.map(client => keepAsking(user, client)))

async function settle (): Promise<string> {
  const staying = users.filter(({ isGone }) => !isGone).flatMap(({ tabs }) => tabs)
  const goals = staying.map(client => [client, (answers.get(client) ?? 0) + 3] as const)
  while (goals.some(([client, goal]) => (answers.get(client) ?? 0) < goal)) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return 'settled'
}

async function signOut (): Promise<string> {
  const user = users.find(({ isGone }) => !isGone)
  if (user === undefined) throw new Error('No user is left.')
  user.isGone = true
  return (await user.tabs[0]?.signOut())?.server ?? ''
}

async function stop (): Promise<string> {
  over.abort()
  await Promise.all(asking)
  const elapsedMs = performance.now() - startedAt
  // The end of a session counts as a change too.
  const refreshes = users.map(({ serial, isGone }) => serial() - (isGone ? 2 : 1))
  for (const { tabs } of users) for (const client of tabs) client.close()
  return JSON.stringify({ elapsedMs, refreshes, failures, events, answers: [...answers.values()] })
}

const lines = createInterface({ input: process.stdin })
lines.on('line', line => {
  const done = line === 'settle' ? settle() : line === 'sign-out' ? signOut() : stop()
  done.then(said => {
    console.log(said)
    if (line === 'stop') lines.close()
  })
})
console.log('signed in')
