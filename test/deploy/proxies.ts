import { execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { findProxy, type ProxyName } from '../../scripts/services/proxies.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder } from '../support/app.ts'
import { makeTls } from '../support/tls.ts'
import { until } from '../support/wait.ts'
import type { Front } from './ask.ts'

/** Replicas at several addresses and one port. */
export interface Targets {
  hosts: string[]
  port: number
}

/** Starts a proxy with the configuration of `deploy` in front of replicas. It stops when the test ends. */
export type StartFront = (t: Test, targets: Targets) => Promise<Front>

/** Starts nginx with `deploy/nginx/signout.conf`, in which only addresses and paths are replaced. */
export const startNginx: StartFront = (t, targets) => runNginx(t, 'signout.conf', targets)

/** A service behind a proxy, which asks signout. */
export interface Protected extends Targets {
  /** Where the service listens. */
  service: string
}

/** Starts a proxy with the configuration of `deploy` for a service whose requests signout checks. */
export type StartProtected = (t: Test, behind: Protected) => Promise<Front>

/** Starts nginx with `deploy/nginx/protect.conf`, in which only addresses and paths are replaced. */
export const startProtectedNginx: StartProtected = (t, behind) =>
  runNginx(t, 'protect.conf', behind, { '10.0.0.21:8080': behind.service })

/** Does as {@link startProtectedNginx}, and also forwards `/open`, without asking signout. */
export const startHalfProtectedNginx: StartProtected = (t, behind) => runNginx(t, 'protect.conf', behind, {
  '10.0.0.21:8080': behind.service,
  '  location = /signout-verify {': `  location = /open {
    proxy_set_header Connection "";
    proxy_http_version 1.1;
    proxy_pass http://articles;
  }

  location = /signout-verify {`
})

/** Starts Caddy with `deploy/caddy/Caddyfile`, in which only addresses are replaced. It speaks no TLS here. */
export const startProtectedCaddy: StartProtected = async (t, { hosts: [first = '', second = ''], port, service }) => {
  const program = required('caddy')
  const folder = scratchFolder(t)
  const own = await findFreePort()
  const address = `http://127.0.0.1:${own}`
  const config = replaced(readFileSync(join(packageRoot, 'deploy', 'caddy', 'Caddyfile'), 'utf8'), {
    '\napi.example.com {': `\n{\n\tadmin off\n\tauto_https off\n}\n${address} {`,
    '10.0.0.11:3000 10.0.0.12:3000': `${first}:${port} ${second}:${port}`,
    '10.0.0.21:8080': service
  })
  const file = join(folder, 'Caddyfile')
  writeFileSync(file, config)
  await run(t, program, ['run', '--config', file, '--adapter', 'caddyfile'], own, { HOME: folder })
  return { address }
}

/** Starts nginx with a file of `deploy/nginx`, in which only addresses and paths are replaced. */
async function runNginx (
  t: Test, file: string, { hosts: [first = '', second = ''], port }: Targets, others: Record<string, string> = {}
): Promise<Front> {
  const program = required('nginx')
  const folder = scratchFolder(t)
  const own = await findFreePort()
  const { caFile, client: { tls: { ca } } } = makeTls(t)
  const name = file === 'signout.conf' ? 'auth' : 'api'
  const config = replaced(readFileSync(join(packageRoot, 'deploy', 'nginx', file), 'utf8'), {
    'server 10.0.0.11:3000': `server ${first}:${port}`,
    'server 10.0.0.12:3000': `server ${second}:${port}`,
    'listen 443 ssl;': `listen 127.0.0.1:${own} ssl;`,
    [`/etc/nginx/${name}.crt`]: join(dirname(caFile), 'redis.pem'),
    [`/etc/nginx/${name}.key`]: join(dirname(caFile), 'redis.key'),
    ...others
  })
  writeFileSync(join(folder, 'included.conf'), config)
  const main = join(folder, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(name => `${name}_temp_path ${folder}/${name};`)
  writeFileSync(main, `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
  ${temporary.join('\n  ')}
  include ${folder}/included.conf;
}
`)
  const args = ['-e', 'stderr', '-p', folder, '-c', main]
  execFileSync(program, [...args, '-t'], { stdio: 'pipe' })
  await run(t, program, args, own)
  return { address: `https://127.0.0.1:${own}`, ca }
}

/** Starts HAProxy with `deploy/haproxy/haproxy.cfg` as it is, and a name server that knows the replicas. */
export const startHaproxy: StartFront = async (t, { hosts, port }) => {
  const program = required('haproxy')
  const own = await findFreePort()
  const env = {
    SIGNOUT_BIND: `127.0.0.1:${own}`,
    SIGNOUT_REPLICAS: `api:${port}`,
    SIGNOUT_NAME_SERVER: `127.0.0.1:${await startNameServer(t, hosts)}`
  }
  const args = ['-f', join(packageRoot, 'deploy', 'haproxy', 'haproxy.cfg')]
  // A warning counts as an error.
  execFileSync(program, ['-c', '-dW', ...args], { env, stdio: 'pipe' })
  await run(t, program, ['-db', ...args], own, env)
  return { address: `http://127.0.0.1:${own}` }
}

function required (name: ProxyName): string {
  const program = findProxy(name)
  if (program === undefined) throw new Error(`The tests need ${name}: run \`npm run services\` first.`)
  return program
}

/** Replaces texts that each occur once. */
function replaced (text: string, texts: Record<string, string>): string {
  return Object.entries(texts).reduce((result, [from, to]) => {
    if (result.split(from).length !== 2) throw new Error(`${from} does not occur once.`)
    return result.replace(from, to)
  }, text)
}

async function run (
  t: Test, program: string, args: string[], port: number, env: Record<string, string> = {}
): Promise<void> {
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (data: Buffer) => { errors = (errors + data.toString()).slice(-10_000) })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await ended
  })
  await until('the proxy listens', () => {
    if (child.exitCode !== null) throw new Error(`${program} has ended: ${errors}`)
    return accepts(port)
  })
}

function accepts (port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket
      .on('connect', () => { resolve(true) })
      .on('error', () => { resolve(false) })
      .on('connect', () => { socket.destroy() })
  })
}

/** Starts a name server that has these addresses for every name. Returns its port. */
async function startNameServer (t: Test, hosts: string[]): Promise<number> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { address, port }) => {
    const end = query.indexOf(0, 12) + 5
    const asksForIpv4 = query.readUInt16BE(end - 4) === 1
    const header = Buffer.from(query.subarray(0, 12))
    // An answer without an error, to one question.
    header.writeUInt16BE(0x8180, 2)
    header.writeUInt16BE(asksForIpv4 ? hosts.length : 0, 6)
    header.writeUInt32BE(0, 8)
    // Each record: the name of the question, type A, class IN, one second, four bytes.
    const records = hosts.map(host =>
      Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...host.split('.').map(Number)]))
    socket.send(Buffer.concat([header, query.subarray(12, end), ...asksForIpv4 ? records : []]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => new Promise<void>(resolve => { socket.close(resolve) }))
  return socket.address().port
}
