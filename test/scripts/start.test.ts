import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import {
  cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync
} from 'node:fs'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { isRunning } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder, promptServersEnv, type Env } from '../support/app.ts'
import { inTerminal } from '../support/terminal.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { until } from '../support/wait.ts'

/** Runs a program until it has printed the awaited text, stops it, and returns its whole output. */
async function outputUntil (
  t: Test,
  program: string,
  args: string[],
  options: { cwd: string, env: Env, stop: (child: ChildProcess) => void },
  awaited: string
): Promise<string> {
  const child = spawn(...undisturbed(program, args), {
    cwd: options.cwd, env: { ...process.env, ...options.env }, detached: true, stdio: 'pipe'
  })
  t.teardown(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-Number(child.pid), 'SIGKILL')
  })
  const ended = new Promise(resolve => { child.once('close', resolve) })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => { output += data.toString() })
  }
  await until(`it prints ${awaited}`, () => output.includes(awaited), 60_000)
  options.stop(child)
  await ended
  return output
}

/**
 * Creates a package that was never built, with small sources, and with the scripts and the settings of ours. Only the
 * types of Node are left out, because a build takes twice as long with them.
 */
function smallPackage (t: Test, sources: Record<string, string>): string {
  const folder = scratchFolder(t)
  for (const name of ['scripts', 'package.json', 'tsconfig.build.json']) {
    cpSync(join(packageRoot, name), join(folder, name), { recursive: true })
  }
  const settings = JSON.parse(readFileSync(join(packageRoot, 'tsconfig.json'), 'utf8'))
  settings.compilerOptions.types = []
  const files = {
    'tsconfig.json': JSON.stringify(settings), 'plugins/plugin.ts': text, 'routes/kept.ts': text, ...sources
  }
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

const text = 'export const text = \'compiled\'\n'
const greeting = 'declare const console: { log (text: string): void }\nconsole.log(\'It runs.\')\n'

t.test('npm start builds if sources have changed, and only then', async t => {
  const cwd = smallPackage(t, { 'src/server.ts': greeting })
  const built = join(cwd, 'dist', 'src', 'server.js')
  const start = () => execFileSync(...undisturbed('npm', ['start']), { cwd, encoding: 'utf8', stdio: 'pipe' })
  t.notOk(existsSync(built))
  t.match(start(), 'It runs.')
  const builtAt = statSync(built).mtimeMs
  t.match(start(), 'It runs.')
  t.equal(statSync(built).mtimeMs, builtAt, 'nothing has changed, so nothing was built')

  writeFileSync(join(cwd, 'src', 'another.ts'), text)
  t.match(start(), 'It runs.')
  t.not(statSync(built).mtimeMs, builtAt, 'a new source is built')
})

t.test('a build removes what was built of removed sources, and nothing else', async t => {
  const cwd = smallPackage(t, { 'src/cli.ts': text, 'src/app.ts': text })
  const command = undisturbed(process.execPath, [join('scripts', 'build.js')])
  const build = () => execFileSync(...command, { cwd, stdio: 'pipe' })
  const built = () => (readdirSync(join(cwd, 'dist'), { recursive: true, withFileTypes: true }))
    .map(entry => relative(join(cwd, 'dist'), join(entry.parentPath, entry.name)))
    .filter(path => !path.startsWith('.declarations'))
    .sort()
  const kept = ['.built', '.bundled', 'LICENSES.txt', 'src', 'src/cli.js', 'src/cli.js.map']
  const removed = ['src/app.d.ts', 'src/app.js', 'src/app.js.map']
  mkdirSync(join(cwd, 'dist', 'plugins', 'old'), { recursive: true })
  writeFileSync(join(cwd, 'dist', 'plugins', 'old', 'gone.js'), '')
  build()
  t.same(built(), [...kept, ...removed].sort())
  rmSync(join(cwd, 'src', 'app.ts'))
  build()
  t.same(built(), kept)
})

const server = `${process.execPath} ${join(packageRoot, 'dist', 'src', 'server.js')}`

t.test('the process ends when its terminal is closed', async t => {
  const cwd = scratchFolder(t)
  const env = { ...await promptServersEnv(t), PORT: '0', TERM: 'xterm' }
  const closeTerminal = (child: ChildProcess) => { child.kill('SIGKILL') }
  await outputUntil(
    t, 'script', inTerminal(`echo $$ > pid; exec ${server}`), { cwd, env, stop: closeTerminal }, 'Documentation: '
  )
  const pid = Number(readFileSync(join(cwd, 'pid'), 'utf8'))
  t.teardown(() => { if (isRunning(pid)) process.kill(pid, 'SIGKILL') })
  await until('it has ended', () => !isRunning(pid), 20_000)
  t.notOk(isRunning(pid))
})

t.test('npm start in a terminal starts the service, with a log that is formatted for people', async t => {
  // In a folder of its own, so that no .env is read by accident.
  const cwd = scratchFolder(t)
  for (const name of ['package.json', 'scripts', 'dist']) symlinkSync(join(packageRoot, name), join(cwd, name))
  const env = { ...await promptServersEnv(t), PORT: '0', TERM: 'xterm' }
  const pressCtrlC = (child: ChildProcess) => { child.stdin?.write('\u0003') }
  const output = await outputUntil(
    t, 'script', inTerminal('npm start'), { cwd, env, stop: pressCtrlC }, 'Documentation: '
  )
  t.notMatch(output, '{"level"')
  // eslint-disable-next-line no-control-regex
  const plain = output.replace(/\u001b\[\d+m/g, '')
  t.match(plain, /\[\d\d:\d\d:\d\d\.\d{3}\] INFO: signout/)
  t.match(plain, 'INFO: Blocklist: Redis at redis://')
  t.match(plain, /Listening: http:\/\/127\.0\.0\.1:\d+/)
  t.match(plain, 'INFO: Stopped.')
})

t.test('the package has every file that its exports name, and the built plugin is the plugin', async t => {
  const { exports } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { types: string, default: string }>
  }
  for (const target of Object.values(exports)) {
    for (const path of typeof target === 'string' ? [target] : Object.values(target)) {
      t.ok(existsSync(join(packageRoot, path)), path)
    }
  }
  const plugin = await import(join(packageRoot, 'dist', 'plugins', 'auth', 'auth.js')) as Record<string, unknown>
  t.same(Object.keys(plugin).sort(), [
    'SignoutError', 'createMemoryBlocklist', 'createPostgresRecord', 'createRedisBlocklist', 'createRedisConnection',
    'createServiceRecord', 'createTrusted', 'default', 'postgresRecordSql'
  ])
})
