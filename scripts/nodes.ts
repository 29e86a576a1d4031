import { spawn, type SpawnOptions } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../src/package-root.ts'
import { run, ServicesError } from './services/programs.ts'
import { readState, servicesDir } from './services/state.ts'

/** The oldest line that `engines` admits, and those that are maintained. Of each, the newest version. */
const versions = ['20.19', '22', '24', '26']
/** The tests of `--quick`: the service, the plugin and the command line, from a login to a refused token. */
const quickTests = ['test/stories/people.test.ts', 'test/plugins/auth/auth.test.ts', 'test/cli/sessions.test.ts']
const help = `Usage: npm run test:nodes -- [VERSION ...] [--quick]

Runs the tests on several versions of Node (default: ${versions.join(', ')}), which it installs from npm into
.services/nodes. Checks for each that npm ci prints no warning, and that npm ci --omit=dev --engine-strict succeeds.
Needs \`npm run services\`. Exits with 1 if a version fails.

  --quick   run three test files in this checkout, instead of all tests in a copy, on the newest version alone
  --help    print this help
`

const { values, positionals } = parseArgs({
  allowPositionals: true, options: { quick: { type: 'boolean' }, help: { type: 'boolean' } }
})

if (values.help === true) {
  process.stdout.write(help)
} else if (positionals.some(version => !/^\d+(\.\d+){0,2}$/.test(version))) {
  process.stderr.write(`VERSION must be a version of Node, such as 24 or 20.19.0.\n\n${help}`)
  process.exitCode = 2
} else {
  for (const version of positionals.length > 0 ? positionals : versions.filter(isWanted)) {
    try {
      const env = withNode(version)
      say(`Node ${run('node', ['--version'], { env }).trim()}`)
      if (values.quick === true) await testQuickly(env)
      else await testCopy(env)
      say(`Node ${version}: all passed`)
    } catch (error) {
      if (!(error instanceof ServicesError)) throw error
      process.stderr.write(`Node ${version}: ${error.message}\n`)
      process.exitCode = 1
    }
  }
}

/** The quick form is for the newest line: those before it are between that and the one that runs all tests anyway. */
function isWanted (version: string): boolean {
  return values.quick !== true || version === versions.at(-1)
}

function say (line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Installs a version of Node unless it is there, and returns an environment in which `node` is that version. */
function withNode (version: string): NodeJS.ProcessEnv {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const folder = join(servicesDir, 'nodes', version)
  const bin = join(folder, 'node_modules', name, 'bin')
  if (!existsSync(bin)) {
    say(`Installing ${name}@${version}`)
    mkdirSync(folder, { recursive: true })
    run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', `${name}@${version}`], { timeoutMs: 600_000 })
  }
  const { redis, postgres } = readState()
  return {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env['PATH']}`,
    REDIS_URL: process.env['REDIS_URL'] ?? redis?.url,
    DATABASE_URL: process.env['DATABASE_URL'] ?? postgres?.url
  }
}

/** Runs a few test files in this checkout. */
async function testQuickly (env: NodeJS.ProcessEnv): Promise<void> {
  await install(packageRoot, env, '--dry-run')
  await execute('node', [join('scripts', 'test.js'), '--disable-coverage', ...quickTests], { cwd: packageRoot, env })
}

/** Installs a copy of the tracked files, and runs all tests there. */
async function testCopy (env: NodeJS.ProcessEnv): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), 'signout-nodes-'))
  try {
    for (const path of run('git', ['ls-files', '-z'], { cwd: packageRoot }).split('\0').filter(Boolean)) {
      if (!existsSync(join(packageRoot, path))) continue
      mkdirSync(join(copy, dirname(path)), { recursive: true })
      cpSync(join(packageRoot, path), join(copy, path))
    }
    // The programs that the tests start, such as Chromium and PgBouncer, are installed there.
    symlinkSync(servicesDir, join(copy, '.services'))
    // Some tests ask git for the files of the repository. To git, the link is no folder, which it would ignore.
    run('git', ['init', '--quiet'], { cwd: copy })
    writeFileSync(join(copy, '.git', 'info', 'exclude'), '.services\n')
    await install(copy, env)
    await execute('npm', ['test'], { cwd: copy, env })
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** Installs all packages without a warning, and checks that those for production admit this version of Node. */
async function install (cwd: string, env: NodeJS.ProcessEnv, ...options: string[]): Promise<void> {
  const output = await execute('npm', ['ci', '--no-audit', '--no-fund', ...options], { cwd, env, isQuiet: true })
  if (/\bwarn\b/i.test(output)) throw new ServicesError(`npm ci prints a warning:\n${output}`)
  await execute('npm', ['ci', '--omit=dev', '--engine-strict', '--dry-run'], { cwd, env, isQuiet: true })
}

/** Runs a program to its end, shows its output unless it is quiet, and returns its output. */
async function execute (
  program: string, args: string[], { isQuiet, ...options }: SpawnOptions & { isQuiet?: boolean }
): Promise<string> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data: Buffer) => {
      output += data.toString()
      if (isQuiet !== true) process.stdout.write(data)
    })
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new ServicesError(`${program} ${args.join(' ')} failed:\n${output.slice(-4_000)}`)
  return output
}
