import { execFile, execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { packClient } from '../../scripts/packages/pack.ts'
import { packageRoot } from '../../src/package-root.ts'
import { blocks, read, stepsOf } from '../docs/markdown.ts'
import { build, scratchFolder, serversEnv } from '../support/app.ts'
import { password } from '../support/people.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { emptyApp, install } from './app.ts'

const readme = read('client/package/README.md')
const app = emptyApp(t)
install(app, { 'signout-client': `file:${packClient(scratchFolder(t)).file}` })
const service = await build(t, await serversEnv(t))
const address = await service.listen({ port: 0, host: '127.0.0.1' })

/** Runs a program of the app. The service is in this process, so it must not wait. */
async function run (...command: string[]): Promise<string> {
  const [program, args] = undisturbed(process.execPath, command)
  return (await promisify(execFile)(program, args, { cwd: app })).stdout.trim()
}

t.test('the program of the README signs in and out in an empty folder, as the README shows', async t => {
  const [program = ''] = blocks(readme, 'js')
  writeFileSync(join(app, 'app.mjs'), program.replace('http://127.0.0.1:3000', address))
  const [step, ...others] = stepsOf(readme)
  t.match({ step, others }, { step: { command: 'node app.mjs' }, others: [] })
  t.equal(await run('app.mjs'), step?.answer.trim())
})

t.test('programs that share the file of the document share a session, and refresh without losing it', async t => {
  const storage = blocks(read('docs/client.md'), 'js').find(block => block.includes('function fileStorage')) ?? ''
  writeFileSync(join(app, 'file-storage.mjs'), storage)
  writeFileSync(join(app, 'program.mjs'), `
    import { createClient } from 'signout-client'
    import { fileStorage } from './file-storage.mjs'
    const client = createClient({ baseUrl: '${address}', storage: fileStorage('tokens') })
    const acts = {
      'sign-in': () => client.signIn({ username: 'ada', password: '${password}' }),
      me: () => client.request('GET /me').then(({ username }) => username, ({ code }) => code),
      'sign-out': () => client.signOut().then(({ server }) => server)
    }
    console.log(await acts[process.argv[2]]())
    client.close()`)
  const act = (name: string) => run('program.mjs', name)
  await act('sign-in')
  const file = join(app, 'tokens', 'signout-pair.json')
  const pair = JSON.parse(readFileSync(file, 'utf8')) as object
  writeFileSync(file, JSON.stringify({ ...pair, access: 'refused' }))
  t.same(await Promise.all(['me', 'me', 'me'].map(act)), ['ada', 'ada', 'ada'])
  t.equal((JSON.parse(readFileSync(file, 'utf8')) as { serial: number }).serial, 2)
  t.equal(await act('me'), 'ada')
  t.equal(await act('sign-out'), 'ended')
  t.equal(await act('me'), 'signed_out')
})

t.test('the types need the types of the web or those of Node, and no others', async t => {
  writeFileSync(join(app, 'app.ts'), `
    import { createClient, hasCode, memoryStorage, type TokenStorage } from 'signout-client'
    const storage: TokenStorage = memoryStorage()
    const client = createClient({ baseUrl: 'https://auth.example.com', storage })
    const { sessions } = await client.request('GET /me/sessions')
    const ip: string | null | undefined = sessions[0]?.ip
    if (!hasCode(ip, 'signed_out')) await client.fetch('https://api.example.com', { method: 'POST' })
    // @ts-expect-error There is no such route.
    await client.request('GET /nothing')
    export {}`)
  const compiler = join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const common = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--module', 'nodenext']
  for (const environment of [
    ['--lib', 'es2022,dom'],
    ['--lib', 'es2022', '--types', 'node', '--typeRoots', join(packageRoot, 'node_modules', '@types')]
  ]) {
    const [program, args] = undisturbed(process.execPath, [compiler, ...common, ...environment, 'app.ts'])
    t.doesNotThrow(() => execFileSync(program, args, { cwd: app, stdio: ['ignore', 'inherit', 'inherit'] }))
  }
})
