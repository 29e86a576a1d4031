import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { serversEnv, type Env } from '../support/app.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { until } from '../support/wait.ts'

const { scripts } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

/** Runs a script of package.json as a person would, through npm and tsx. */
function npmRun (t: Test, args: string[], env: Env = {}) {
  return start(t, 'npm', ['run', '--silent', ...args], env)
}

/**
 * Runs the compiled form of a script, which takes a tenth of the processor time of `npm run`. Checks that `npm run`
 * runs the source of the same file, with nothing but tsx.
 */
function runCompiled (t: Test, name: string, args: string[], env: Env = {}) {
  const [, path = ''] = /^tsx (\S+)\.ts$/.exec(scripts[name] ?? '') ?? []
  t.ok(existsSync(join(packageRoot, `${path}.ts`)), `${name}: ${scripts[name]}`)
  return start(t, process.execPath, [join(packageRoot, '.build', `${path}.js`), ...args], env)
}

/** Starts a program in a process group of its own. */
function start (t: Test, program: string, args: string[], env: Env) {
  const child = spawn(...undisturbed(program, args), {
    cwd: packageRoot, env: { ...process.env, ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe']
  })
  const toGroup = (signal: NodeJS.Signals) => {
    try {
      process.kill(-Number(child.pid), signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  t.teardown(() => { toGroup('SIGKILL') })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => { output += data.toString() })
  const ended = new Promise<number | null>(resolve => { child.once('close', resolve) })
  return { output: () => output, ended, pressCtrlC: () => { toGroup('SIGINT') } }
}

t.test('npm run replicas starts the given number, labels their logs, and stops all on Ctrl-C', async t => {
  const env = await serversEnv(t)
  const firstPort = await findFreePort(3)
  const replicas = npmRun(t, ['replicas', '--', '3', '--first-port', String(firstPort)], env)
  const ports = [firstPort, firstPort + 1, firstPort + 2]
  await until(
    'all three listen',
    () => {
      if (replicas.output().includes('ended with')) throw new Error(replicas.output())
      return ports.every(port => replicas.output().includes(`Documentation: http://127.0.0.1:${port}`))
    },
    60_000
  )
  for (const port of ports) {
    t.equal((await fetch(`http://127.0.0.1:${port}/health/ready`)).status, 200)
    t.match(replicas.output(), new RegExp(`^\\[${port}\\] .*Listening: http://127.0.0.1:${port}`, 'm'))
  }
  replicas.pressCtrlC()
  await replicas.ended
  for (const port of ports) {
    await until(`nothing listens on ${port}`, () =>
      fetch(`http://127.0.0.1:${port}/health/live`).then(
        () => false, () => true
      )
    )
    t.match(replicas.output(), new RegExp(`^\\[${port}\\] ended with 0$`, 'm'), 'it finished, and was not killed')
  }
})

t.test('npm run replicas refuses an invalid count and an invalid port with its usage', async t => {
  for (const args of [
    ['none'],
    ['0'],
    ['0x3'],
    ['1e1'],
    ['51'],
    ['1.5'],
    ['1', '2'],
    ['1', '--first-port', 'x'],
    ['3', '--first-port', '65535']
  ]) {
    const { ended, output } = runCompiled(t, 'replicas', args)
    t.equal(await ended, 1, args.join(' '))
    t.match(output(), /must be a whole number[^]*Usage: npm run replicas/, args.join(' '))
  }
})

/** The scripts of package.json that print no usage of ours, each with the reason. */
const withoutUsage: Record<string, string> = {
  build: 'It has no options.',
  start: 'It is the service, which has settings and no options.',
  dev: 'It is the service, run by tsx.',
  bench: 'Its hook compiles it first. test/benchmarks/bench.test.ts checks its usage.',
  migration: 'It is drizzle-kit.',
  lint: 'It is ESLint and Redocly.',
  typecheck: 'It is tsc.',
  test: 'It passes its options to tap.',
  'test:quick': 'It passes its options to tap.',
  'test:long': 'It passes its options to tap.',
  coverage: 'It passes its options to tap.',
  prepack: 'It is a hook of npm pack.'
}

t.test('every script of package.json with options of its own prints its usage with --help', async t => {
  t.same(Object.keys(withoutUsage).filter(name => scripts[name] === undefined), [], 'every exception is a script')
  const isHook = (name: string) => /^(pre|post)/.test(name) && scripts[name.replace(/^(pre|post)/, '')] !== undefined
  const names = Object.keys(scripts).filter(name => !isHook(name) && withoutUsage[name] === undefined)
  t.ok(names.includes('replicas'), names.join(', '))
  const expectUsage = async (name: string, { ended, output }: ReturnType<typeof start>) => {
    t.equal(await ended, 0, name)
    t.match(output(), new RegExp(`^Usage: npm run ${name}( |$)`, 'm'), name)
  }
  await Promise.all(names.map(name => expectUsage(name, runCompiled(t, name, ['--help']))))
  await expectUsage('settings', npmRun(t, ['settings', '--', '--help']))
})

t.test('npm run services names the variable of a server that does not answer', async t => {
  for (const [name, url] of [
    ['REDIS_URL', 'redis://127.0.0.1:1'], ['DATABASE_URL', 'postgres://127.0.0.1:1/none']
  ] as const) {
    const { ended, output } = runCompiled(t, 'services', [], { [name]: url })
    t.equal(await ended, 1, name)
    t.match(output(), `${name} names a `)
    t.match(output(), 'that does not answer: start it, or unset the variable.')
  }
})
