import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { ServicesError, run, succeeds } from './programs.ts'

const installMs = 300_000
const packages = {
  redis: { name: 'Redis', apt: 'redis-server', brew: 'redis', orElse: ', or name a running one in REDIS_URL' },
  postgres: {
    name: 'Postgres', apt: 'postgresql', brew: 'postgresql@17', orElse: ', or name a running one in DATABASE_URL'
  },
  pgbouncer: { name: 'PgBouncer', apt: 'pgbouncer', brew: 'pgbouncer', orElse: '' },
  curl: { name: 'curl', apt: 'curl', brew: 'curl', orElse: '' },
  chromium: { name: 'Chromium', apt: 'chromium', brew: 'chromium', orElse: ', or name one in CHROMIUM' },
  faketime: {
    name: 'libfaketime', apt: 'libfaketime', brew: 'libfaketime', orElse: ', or name its library in FAKETIME_LIBRARY'
  }
} as const

/** Installs a program with the package manager of the system, or says what to install by hand. */
export function install (program: keyof typeof packages, say: (line: string) => void): void {
  const { name, apt, brew, orElse } = packages[program]
  if (process.getuid?.() === 0 && succeeds('apt-get', ['--version'])) {
    say(`installing ${apt} with apt-get (about half a minute)`)
    keepDebianFromStartingPostgres()
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    run('apt-get', ['update', '-q'], { env, timeoutMs: installMs })
    run('apt-get', ['install', '-q', '-y', '--no-install-recommends', apt], { env, timeoutMs: installMs })
  } else if (succeeds('brew', ['--version'])) {
    say(`installing ${brew} with brew (some minutes)`)
    run('brew', ['install', brew], { timeoutMs: installMs })
  } else {
    throw new ServicesError(
      `${name} is missing, and neither a Docker engine, nor apt-get as root, nor brew is here to provide it: install ${name}${orElse}.`
    )
  }
}

/** Debian's package makes and starts a database cluster on port 5432, which is not ours to make. */
function keepDebianFromStartingPostgres (): void {
  const file = '/etc/postgresql-common/createcluster.conf'
  if (existsSync(file)) return
  mkdirSync('/etc/postgresql-common', { recursive: true })
  writeFileSync(file, 'create_main_cluster = false\n')
}
