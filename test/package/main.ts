import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { packClient, packPlugin, packService } from '../../scripts/packages/pack.ts'
import { examples, examplesFolder } from '../examples/installed.ts'
import { scratchFolder } from '../support/app.ts'
import { ownRedis } from '../support/redis-server.ts'
import { createOwner, type Owner } from '../support/teardown.ts'
import {
  emptyApp, install, measure, newestPeers, oldestPeers, ownDecorators, requireIt, resolutions, typeErrors, writeProgram,
  writeSources, type Dependencies, type Manager
} from './app.ts'
import { maxRatio, measureImports } from './cost.ts'
import { expectedAnswers, startExample, useExample } from './example.ts'

/** The versions that the README of the plugin names. */
const compilers = ['5.4', '5.5', '5.6', '5.7', '5.8', '5.9', '6.0', '7.0']
const nodes = ['20.19', '22', '24', '26']
interface App { title: string, manager: Manager, peers: Dependencies, hasAllCompilers?: true }
const apps: App[] = [
  { title: 'npm, newest versions', manager: 'npm', peers: newestPeers, hasAllCompilers: true },
  { title: 'npm, oldest versions', manager: 'npm', peers: oldestPeers },
  { title: 'npm, newest fastify, ioredis 5', manager: 'npm', peers: { ...newestPeers, ioredis: '5' } },
  { title: 'pnpm, newest versions', manager: 'pnpm', peers: newestPeers },
  { title: 'pnpm, oldest versions', manager: 'pnpm', peers: oldestPeers }
]

/** The examples whose packages have no types of their own, with the package that has them. */
const typesOf: Record<string, string> = { 'postgres-record': '@types/pg', 'resource-server': '@types/pg' }

let failures = 0

new Command('npm run check:packages --')
  .description([
    'Packs fastify-signout, and installs it into apps with each version of its peers that its README names.',
    'In each app the example of the README runs, Redis stalls, require() works, and all types are compiled.',
    'Installs signout, the service, too: its command line runs, and its types are compiled.',
    'Installs signout-client: it is imported in each version of Node, and its types are compiled.',
    'Installs each of examples/ with all of its packages, and compiles it.',
    'Prints what the plugin adds to an app, and what its import costs. Exits with 1 if anything fails.'
  ].join(' '))
  .option('--only <text>', `the apps whose title has this text: ${apps.map(({ title }) => title).join('; ')}`, toTitle)
  .option('--rounds <number>', 'how often each import is measured, from 7', toRounds, 11)
  .action(check)
  .parse()

function toTitle (text: string): string {
  if (apps.some(({ title }) => title.includes(text))) return text
  throw new InvalidArgumentError('No app has such a title.')
}

function toRounds (text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) >= 7) return Number(text)
  throw new InvalidArgumentError('It must be a whole number from 7 to 999.')
}

async function check ({ rounds, only = '' }: { rounds: number, only?: string }): Promise<void> {
  const owner = createOwner()
  try {
    const { file } = packPlugin(scratchFolder(owner))
    const plugin = { 'fastify-signout': `file:${file}` }
    const installCompiler = createInstaller(scratchFolder(owner), 'typescript', 'typescript/bin/tsc')
    const nodePackage = `node-${process.platform}-${process.arch}`
    const installNode = createInstaller(scratchFolder(owner), nodePackage, `${nodePackage}/bin/node`)
    checkSizes(owner, plugin, rounds)
    checkService(owner, installCompiler)
    checkClient(owner, installCompiler, installNode)
    checkExamples(owner, installCompiler)
    for (const { title, manager, peers, hasAllCompilers } of apps.filter(({ title }) => title.includes(only))) {
      const folder = emptyApp(owner)
      install(folder, { ...peers, ...plugin, '@types/node': '20' }, manager)
      writeSources(folder)
      report(`${title}: the example of the README`, await runExample(folder))
      report(`${title}: require()`, describeRequire(folder))
      const versions = hasAllCompilers ? compilers : [compilers[0], compilers.at(-1)] as string[]
      for (const version of versions) {
        for (const resolution of resolutions) {
          const errors = typeErrors(folder, installCompiler(version), resolution)
          report(`${title}: the types in TypeScript ${version}, ${resolution}`, errors)
        }
        const errors = typeErrors(folder, installCompiler(version), 'nodenext', ownDecorators)
        report(`${title}: the types beside other decorators in TypeScript ${version}`, errors)
      }
      if (!hasAllCompilers) continue
      for (const version of nodes) {
        const node = installNode(version)
        report(`${title}: require() in Node ${version}`, describeRequire(folder, node))
        report(`${title}: the example of the README in Node ${version}`, await runExample(folder, node))
      }
    }
  } finally {
    await owner.close()
  }
  say(failures === 0 ? 'All passed.' : `${failures} failed.`)
  process.exitCode = failures === 0 ? 0 : 1
}

/** Prints and checks what the plugin adds to an app, and what its import costs. */
function checkSizes (owner: Owner, plugin: Dependencies, rounds: number): void {
  const folder = emptyApp(owner)
  install(folder, newestPeers)
  const before = measure(folder)
  install(folder, plugin)
  const after = measure(folder)
  const added = after.megabytes - before.megabytes
  say(`An app with fastify, @fastify/jwt and ioredis: ${before.packages} packages, ${before.megabytes.toFixed(1)} MB`)
  say(`With fastify-signout: ${after.packages} packages, ${after.megabytes.toFixed(1)} MB`)
  report(`The plugin adds ${added.toFixed(2)} MB, under 3`, added < 3 ? '' : 'It adds more.')
  const { peers, plugin: cost, ratio } = measureImports(folder, rounds)
  say(`Importing @fastify/jwt and ioredis: ${peers.toFixed(0)} ms of processor time, median of ${rounds}`)
  say(`Importing fastify-signout: ${cost.toFixed(0)} ms`)
  const isCheap = ratio <= maxRatio
  report(`The import costs ${ratio.toFixed(2)} times as much, at most ${maxRatio}`, isCheap ? '' : 'It costs more.')
}

/** Installs the package of the service, runs its command line, and compiles a program that imports it. */
function checkService (owner: Owner, installCompiler: (version: string) => string): void {
  const folder = emptyApp(owner)
  const { file } = packService(scratchFolder(owner))
  install(folder, { signout: `file:${file}`, '@types/node': '20' })
  writeProgram(folder, 'service.ts', [
    "import { buildApp } from 'signout/app'",
    "import { loadConfig } from 'signout/config'",
    "await buildApp(loadConfig({ PORT: '0' })).ready()",
    '// @ts-expect-error It takes what loadConfig returns.',
    'buildApp({})'
  ])
  const cli = spawnSync('npx', ['signout', '--help'], { cwd: folder, encoding: 'utf8' })
  report('signout: the command line', cli.stdout.startsWith('Usage: signout ') ? '' : cli.stderr)
  for (const version of [compilers[0], compilers.at(-1)] as string[]) {
    for (const resolution of resolutions) {
      const errors = typeErrors(folder, installCompiler(version), resolution)
      report(`signout: the types in TypeScript ${version}, ${resolution}`, errors)
    }
  }
}

/** Installs the client into an app without anything else, imports it, and compiles a program that uses it. */
function checkClient (
  owner: Owner, installCompiler: (version: string) => string, installNode: (version: string) => string
): void {
  const folder = emptyApp(owner)
  const { file } = packClient(scratchFolder(owner))
  install(folder, { 'signout-client': `file:${file}`, '@types/node': '20' })
  writeProgram(folder, 'client.ts', [
    "import { createClient, memoryStorage } from 'signout-client'",
    "const client = createClient({ baseUrl: 'https://auth.example.com', storage: memoryStorage() })",
    "export const ip: string | null | undefined = (await client.request('GET /me/sessions')).sessions[0]?.ip",
    '// @ts-expect-error There is no such route.',
    "await client.request('GET /nothing')"
  ])
  const program = "import('signout-client').then(({ createClient }) => { console.log(typeof createClient) })"
  for (const version of nodes) {
    const { stdout, stderr } = spawnSync(installNode(version), ['-e', program], { cwd: folder, encoding: 'utf8' })
    report(`signout-client: the import in Node ${version}`, stdout.trim() === 'function' ? '' : stderr)
  }
  for (const version of compilers) {
    for (const resolution of resolutions) {
      const errors = typeErrors(folder, installCompiler(version), resolution)
      report(`signout-client: the types in TypeScript ${version}, ${resolution}`, errors)
    }
  }
}

/** Installs each example with all of its packages, and compiles it with its types checked. */
function checkExamples (owner: Owner, installCompiler: (version: string) => string): void {
  const folder = scratchFolder(owner)
  packPlugin(join(folder, 'tarballs'))
  for (const name of examples) {
    const own = join(folder, 'examples', name)
    cpSync(join(examplesFolder, name), own, { recursive: true })
    install(own, { '@types/node': '20', ...name in typesOf && { [typesOf[name] as string]: '8' } })
    const compiler = installCompiler(compilers.at(-1) as string)
    report(`examples/${name}: npm install, and the types`, typeErrors(own, compiler, 'nodenext', '.', '.js'))
  }
}

/** Returns a function that installs a version of a package once, and returns the path of a file in it. */
function createInstaller (folder: string, name: string, file: string): (version: string) => string {
  const installed = new Set<string>()
  return version => {
    const own = join(folder, version)
    if (!installed.has(version)) {
      mkdirSync(own)
      install(own, { [name]: version })
      installed.add(version)
    }
    return join(own, 'node_modules', file)
  }
}

/** Runs the example of the README. Returns what was wrong, or an empty text. */
async function runExample (folder: string, node?: string): Promise<string> {
  const owner = createOwner()
  try {
    const redis = await ownRedis(owner)
    const answers = await useExample(await startExample(owner, folder, redis.url, node), redis)
    return answers.join() === expectedAnswers.join() ? '' : `The answers were ${answers.join(', ')}.`
  } catch (error) {
    return String(error)
  } finally {
    await owner.close()
  }
}

function describeRequire (folder: string, node?: string): string {
  const { default: plugin } = requireIt(folder, node)
  return plugin === 'function' ? '' : `The default export is ${plugin}.`
}

/** Prints a line for a check, and what was wrong. */
function report (title: string, wrong: string): void {
  if (wrong !== '') failures++
  say(wrong === '' ? `ok      ${title}` : `FAILED  ${title}\n${wrong}`)
}

function say (line: string): void {
  process.stdout.write(`${line}\n`)
}
