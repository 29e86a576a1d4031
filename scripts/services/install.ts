import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { ServicesError, run, succeeds } from './programs.ts'

const installMs = 300_000
const packages = {
  redis: { name: 'Redis', apt: 'redis-server', brew: 'redis', orElse: ', or set REDIS_URL to a running one' },
  postgres: {
    name: 'Postgres', apt: 'postgresql', brew: 'postgresql@17', orElse: ', or set DATABASE_URL to a running one'
  },
  nginx: { name: 'nginx', apt: 'nginx', brew: 'nginx', orElse: '' },
  haproxy: { name: 'HAProxy', apt: 'haproxy', brew: 'haproxy', orElse: '' },
  caddy: { name: 'Caddy', apt: 'caddy', brew: 'caddy', orElse: '' },
  pgbouncer: { name: 'PgBouncer', apt: 'pgbouncer', brew: 'pgbouncer', orElse: '' },
  prometheus: { name: 'Prometheus', apt: 'prometheus', brew: 'prometheus', orElse: '' },
  pyjwt: { name: 'PyJWT', apt: 'python3-jwt python3-cryptography', brew: 'pyjwt', orElse: '' },
  java: { name: 'Java', apt: 'default-jdk-headless', brew: 'openjdk', orElse: '' },
  curl: { name: 'curl', apt: 'curl', brew: 'curl', orElse: '' },
  chromium: { name: 'Chromium', apt: 'chromium', brew: 'chromium', orElse: ', or set CHROMIUM to the path of one' },
  faketime: {
    name: 'libfaketime', apt: 'libfaketime', brew: 'libfaketime', orElse: ', or set FAKETIME_LIBRARY to its library'
  }
} as const

/**
 * Installs a program with the package manager of the system. Throws an error that says what to install if there is
 * none.
 */
export function install (program: keyof typeof packages, say: (line: string) => void): void {
  const { name, apt, brew, orElse } = packages[program]
  if (process.getuid?.() === 0 && succeeds('apt-get', ['--version'])) {
    say(`installing ${apt} with apt-get (about half a minute)`)
    keepDebianFromStartingPostgres()
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    run('apt-get', ['update', '-q'], { env, timeoutMs: installMs })
    const policy = keepDebianFromStarting()
    try {
      const args = ['install', '-q', '-y', '--no-install-recommends', ...apt.split(' ')]
      run('apt-get', args, { env, timeoutMs: installMs })
    } finally {
      policy.remove()
    }
  } else if (succeeds('brew', ['--version'])) {
    say(`installing ${brew} with brew (some minutes)`)
    run('brew', ['install', brew], { timeoutMs: installMs })
  } else {
    throw new ServicesError(
      `${name} is missing, and there is no Docker engine, no apt-get as root and no brew to provide it: install ${name}${orElse}.`
    )
  }
}

/** Keeps Debian's package from creating and starting a database cluster on port 5432, which is not our task. */
function keepDebianFromStartingPostgres (): void {
  const file = '/etc/postgresql-common/createcluster.conf'
  if (existsSync(file)) return
  mkdirSync('/etc/postgresql-common', { recursive: true })
  writeFileSync(file, 'create_main_cluster = false\n')
}

/** Keeps Debian from starting a server when it is installed: nginx would take port 80. */
function keepDebianFromStarting (): { remove: () => void } {
  const file = '/usr/sbin/policy-rc.d'
  if (existsSync(file)) return { remove () { /* The policy belongs to the machine. */ } }
  writeFileSync(file, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  return { remove () { rmSync(file) } }
}
