import { execFileSync } from 'node:child_process'
import { spreadOf } from '../benchmarks/statistics.ts'
import { undisturbed } from '../support/undisturbed.ts'

/** The processor time of an import, in milliseconds. */
export interface ImportCosts {
  /** Of @fastify/jwt and ioredis, which an app has anyway. */
  peers: number
  /** Of fastify-signout, which imports both. */
  plugin: number
  /** The cost of the plugin in costs of the peers. */
  ratio: number
}

/** The largest ratio. */
export const maxRatio = 1.3

const program = `
  const before = process.cpuUsage()
  for (const name of process.argv.slice(1)) await import(name)
  const { user, system } = process.cpuUsage(before)
  console.log((user + system) / 1000)`

/**
 * Measures what it costs to import the plugin in an app: the medians of new processes that take turns. They differ less
 * than the clock does on a busy machine, because only processor time counts.
 */
export function measureImports (folder: string, rounds: number): ImportCosts {
  const args = ['--input-type=module', '-e', program]
  const importing = (...names: string[]) =>
    Number(execFileSync(...undisturbed(process.execPath, [...args, ...names]), { cwd: folder, encoding: 'utf8' }))
  const samples = { peers: [] as number[], plugin: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    samples.peers.push(importing('@fastify/jwt', 'ioredis'))
    samples.plugin.push(importing('fastify-signout'))
  }
  const { median: peers } = spreadOf(samples.peers)
  const { median: plugin } = spreadOf(samples.plugin)
  return { peers, plugin, ratio: plugin / peers }
}
