import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { settings } from '../../src/settings/read-settings.ts'
import { describeUnknownVariable, findUnknownVariables } from '../../src/settings/unknown-variables.ts'

/** Misspelled settings, each with the one that was meant. */
const misspelled = {
  REDIS_URI: 'REDIS_URL',
  ACCES_TOKEN_TTL: 'ACCESS_TOKEN_TTL',
  DATABSE_URL: 'DATABASE_URL',
  DATABASE_URI: 'DATABASE_URL',
  DATABASE_URI_FILE: 'DATABASE_URL_FILE',
  KEY_ENCRYPTION_SECRTE: 'KEY_ENCRYPTION_SECRET',
  REDIS_SENTINEL: 'REDIS_SENTINELS',
  RATE_LIMIT: 'RATE_LIMITS',
  LOGLEVEL: 'LOG_LEVEL',
  redis_url: 'REDIS_URL',
  CLOCK_LEEWAY_SECONDS: 'CLOCK_LEEWAY',
  BLOCKLIST_DEADLINE: 'BLOCKLIST_DEADLINE_MS',
  ACCESS_TOKEN_TTL_MS: 'ACCESS_TOKEN_TTL',
  LOG_LEVEL_FILE: 'LOG_LEVEL',
  SIGNOUT_PORT: 'PORT',
  SIGNOUT_ISUER: 'ISSUER'
}

/** Names that other programs, shells, images and platforms use. */
const ofOthers = `
  PATH HOME USER SHELL TERM LANG LC_ALL PWD OLDPWD SHLVL HOSTNAME HOSTS HOST_FILE POST PORTS PORTAL PORT_HTTP
  ISSUE ISSUES PGDATA PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE POSTGRES_USER POSTGRES_DB POSTGRES_HOST
  POSTGRES_URL POSTGRES_PASSWORD_FILE REDIS_HOST REDIS_PORT REDIS_DB REDIS_USER REDIS_PASS REDIS_TLS
  REDIS_TLS_URL REDIS_TLS_CERT REDIS_TLS_KEY REDIS_PREFIX REDIS_TIMEOUT REDIS_CLUSTER REDIS_SSL REDIS_URL1
  REDIS_URL_CACHE DATABASE_NAME DATABASE_HOST DATABASE_PORT DATABASE_USER DATABASE_USERNAME DATABASE_PASSWORD
  DATABASE_POOL DATABASE_SSL DATABASE_TYPE DATABASE_DIR TEST_DATABASE_URL SHADOW_DATABASE_URL
  DIRECT_DATABASE_URL DATABASE_URL_UNPOOLED HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy no_proxy ALL_PROXY
  USE_PROXY PROXY_URL PROXY_HOST METRICS_HOST METRICS_PATH METRICS_URL METRICS_ENABLED ACCESS_TOKEN
  ACCESS_TOKEN_URL ACCESS_TOKEN_SECRET ACCESS_TOKEN_KEY REFRESH_TOKEN REFRESH_TOKEN_URL REFRESH_TOKEN_SECRET
  TOKEN_TTL SESSION_SECRET SESSION_MAX SESSION_KEY SESSION_NAME SESSION_MANAGER MAX_AGE ENCRYPTION_KEY
  ENCRYPTION_SECRET KEY_FILE LOG_FILE LOG_FORMAT LOG_DIR LOG_PATH RATE_LIMIT_MAX RATE_LIMIT_WINDOW JWT_SECRET
  JWKS_URI JWKS_URL NODE_ENV NODE_OPTIONS npm_config_registry npm_package_name KUBERNETES_SERVICE_HOST
  KUBERNETES_PORT REDIS_SERVICE_HOST REDIS_PORT_6379_TCP_ADDR SIGNOUT_SERVICE_HOST SIGNOUT_SERVICE_PORT
  SIGNOUT_PORT_3000_TCP_ADDR SECRET_FILE PASSWORD_FILE
`.trim().split(/\s+/)

const envOf = (names: string[]) => Object.fromEntries(names.map(name => [name, 'hush']))

t.test('a variable that looks like a misspelled setting is found, with the setting that was meant', async t => {
  t.same(
    findUnknownVariables(envOf(Object.keys(misspelled))),
    Object.entries(misspelled).map(([name, likely]) => ({ name, likely }))
  )
  const found = { name: 'REDIS_URI', likely: 'REDIS_URL' }
  t.equal(
    describeUnknownVariable(found), 'REDIS_URI is not a setting, so it has no effect: did you mean REDIS_URL?'
  )
})

t.test('each setting is found if a letter of its name is missing, doubled or swapped', async t => {
  for (const [name] of settings.filter(([name]) => name.length >= 8)) {
    const at = Math.floor(name.length / 2)
    const wrong = [
      name.slice(0, at) + name.slice(at + 1),
      name.slice(0, at) + name.slice(at - 1),
      name.slice(0, at - 1) + name[at] + name[at - 1] + name.slice(at + 1)
    ].filter(text => text !== name)
    t.same(findUnknownVariables(envOf(wrong)).map(({ likely }) => likely), wrong.map(() => name), wrong.join())
  }
})

t.test('settings and the variables of other programs are not taken for misspelled settings', async t => {
  t.same(findUnknownVariables(envOf(ofOthers)), [])
  t.same(findUnknownVariables({ SIGNOUT_PORT: 'tcp://10.0.0.1:3000' }), [], 'Kubernetes sets it for a Service')
  const example = readFileSync(join(packageRoot, '.env.example'), 'utf8').replace(/^#([A-Z_]+=)/gm, '$1')
  const listed = Object.keys(parseEnv(example))
  t.ok(listed.includes('DATABASE_URL_FILE') && listed.includes('POSTGRES_PASSWORD'))
  t.same(findUnknownVariables(envOf(listed)), [])
})
