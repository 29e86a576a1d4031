import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Report } from '../../scripts/load/report.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder } from './app.ts'
import { undisturbed } from './undisturbed.ts'

/** `npm run load`, as a process. */
export interface LoadRun {
  child: ChildProcess
  /** The folder of its reports. */
  folder: string
  output (): string
  ended: Promise<number | null>
}

export const loadCommand = [
  process.execPath, join(import.meta.dirname, '..', '..', 'scripts', 'load.js')
]

export function startLoad (t: Test, args: string[], command: (parts: string[]) => string[] = parts => parts): LoadRun {
  const folder = scratchFolder(t)
  const [program = '', ...rest] = command([...loadCommand, '--output', folder, ...args])
  const child = spawn(...undisturbed(program, rest), { cwd: packageRoot, stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => { output += data.toString() })
  const ended = new Promise<number | null>(resolve => { child.once('close', resolve) })
  t.teardown(() => { child.kill('SIGTERM') })
  return { child, folder, ended, output: () => output }
}

/** Reads the reports of a run. */
export function readReports (folder: string): { report: Report, html: string, htmlFile: string } {
  const nameOf = (extension: string) =>
    join(folder, readdirSync(folder).find(name => name.endsWith(extension)) ?? `no ${extension} was written`)
  return {
    report: JSON.parse(readFileSync(nameOf('.json'), 'utf8')) as Report,
    html: readFileSync(nameOf('.html'), 'utf8'),
    htmlFile: nameOf('.html')
  }
}

/** Returns a small report, with changes. */
export function sampleReport (changes: Partial<Report> = {}): Report {
  const noAnswers = { refused: 0, accepted: 0, unavailable: 0, inconclusive: 0 }
  return {
    version: '1.0.0',
    startedAt: '2026-01-02T03:04:05.678Z',
    seconds: 1,
    endedBy: 'duration',
    targets: ['http://127.0.0.1:3000'],
    ownReplicas: false,
    profile: 'mixed',
    profileDescription: 'what people do',
    users: 1,
    mode: { kind: 'closed' },
    coordinatedOmission: 'Corrected.',
    preparationSeconds: 1,
    totals: { requests: 10, requestsPerSecond: 10, failed: 0, notSent: 0, latencyMs: undefined, distribution: [] },
    operations: {},
    intervalSeconds: 1,
    timeline: [],
    revocation: {
      logouts: 2,
      logoutsUnderLoad: 1,
      refusedEverywhere: 2,
      answers: { ...noAnswers, refused: 4 },
      neverAsked: 0,
      lastAskedMs: undefined,
      lastAnsweredMs: undefined,
      askedAgain: { tokens: 0, answers: noAnswers },
      violationCount: 0,
      violations: []
    },
    generator: { cpuShare: 0.1, eventLoopDelayP99Ms: 1 },
    ...changes
  }
}

/** The answer of a stand-in for a target. */
export interface Answer { status: number, headers?: Record<string, string>, body: string }

/** Lets a server listen on a port of its own, and returns its address. The server is closed when the test ends. */
export async function listen (t: Test, server: Server, protocol = 'http'): Promise<string> {
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/**
 * Starts a broken replica, and returns its address. It forwards requests to a real one, and passes each answer through
 * `change`.
 */
export async function brokenReplica (
  t: Test, address: string, change: (answer: Answer, request: IncomingMessage, body: string) => Answer
): Promise<string> {
  return await listen(
    t,
    createServer((request, response) => {
      const pass = async () => {
        const chunks: Buffer[] = []
        for await (const chunk of request) chunks.push(chunk as Buffer)
        const { authorization, 'content-type': contentType } = request.headers
        const answer = await fetch(address + request.url, {
          method: request.method ?? 'GET',
          headers: { ...authorization && { authorization }, ...contentType && { 'content-type': contentType } },
          ...chunks.length > 0 && { body: Buffer.concat(chunks) }
        })
        const changed = change(
          { status: answer.status, body: await answer.text() }, request, Buffer.concat(chunks).toString()
        )
        response.writeHead(changed.status, { 'content-type': 'application/json', ...changed.headers }).end(changed.body)
      }
      pass().catch(() => { response.destroy() })
    })
  )
}
