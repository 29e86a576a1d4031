import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { scratchFolder } from './app.ts'

/** An authority of its own, and the configuration of servers with its certificate. */
export interface Tls {
  caFile: string
  /** The certificate of a server at 127.0.0.1, and its key. */
  certFile: string
  keyFile: string
  /** Lines of redis.conf. */
  lines (port: number): string[]
  /** The options of ioredis to reach them. */
  client: { tls: { ca: string } }
}

export function makeTls (t: Test): Tls {
  const folder = scratchFolder(t)
  const file = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => { execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' }) }
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '1',
    '-subj',
    '/CN=an authority for tests',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem'
  )
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    '/CN=redis',
    '-keyout',
    'redis.key',
    '-out',
    'redis.csr'
  )
  writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1')
  openssl(
    'x509',
    '-req',
    '-in',
    'redis.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-days',
    '1',
    '-extfile',
    'names',
    '-out',
    'redis.pem'
  )
  return {
    caFile: file('ca.pem'),
    certFile: file('redis.pem'),
    keyFile: file('redis.key'),
    lines: port => [
      'port 0', `tls-port ${port}`, `tls-cert-file ${file('redis.pem')}`, `tls-key-file ${file('redis.key')}`,
      `tls-ca-cert-file ${file('ca.pem')}`, 'tls-auth-clients no', 'tls-replication yes'
    ],
    client: { tls: { ca: readFileSync(file('ca.pem'), 'utf8') } }
  }
}
