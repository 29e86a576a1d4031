import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config.ts'
import { readSettings, settings } from '../../src/settings/read-settings.ts'
import { fileVariableOf, readSecret } from '../../src/settings/secret-files.ts'
import { scratchFolder } from '../support/app.ts'
import { refusalOf, servers, without } from '../support/settings.ts'

const hidden = 'hush-hush-hush-hush-hush-hush-hush-hush'

/** A valid value of each secret. */
const values: Record<string, string> = {
  ...servers,
  REDIS_SENTINELS: 'redis://:hush@s1:26379,s2:26379',
  REDIS_CLUSTER_NODES: 'redis://:hush@n1:6379',
  REDIS_PASSWORD: ' hush ',
  KEY_ENCRYPTION_SECRET_PREVIOUS: hidden,
  METRICS_TOKEN: 'a-token-for-those-who-scrape'
}

/** Returns a function that writes a file with a content, and returns its path. */
function fileMaker (t: Test): (content: string | Buffer) => string {
  const folder = scratchFolder(t)
  let count = 0
  return content => {
    const path = join(folder, String(count++))
    writeFileSync(path, content)
    return path
  }
}

t.test('every secret can be in a file, without one line break at its end', async t => {
  const write = fileMaker(t)
  const secrets = settings.filter(([, { secret }]) => secret).map(([name]) => name)
  t.same(secrets.sort(), Object.keys(values).filter(name => name !== 'ISSUER').sort(), 'this test knows all of them')
  for (const name of secrets) {
    const expected = readSettings({ [name]: String(values[name]) }, []) as Record<string, unknown>
    for (const end of ['', '\n', '\r\n']) {
      const mistakes: string[] = []
      const read = readSettings({ [fileVariableOf(name)]: write(`${values[name]}${end}`), [name]: '' }, mistakes)
      t.same([(read as Record<string, unknown>)[name], mistakes], [expected[name], []], name)
    }
  }
  t.equal(readSecret('REDIS_PASSWORD', { REDIS_PASSWORD_FILE: write('hush\n\n') }, []), 'hush\n', 'one line break only')
  t.same(loadConfig({
    ...without('DATABASE_URL'), DATABASE_URL_FILE: write(`${servers.DATABASE_URL}\n`), METRICS_TOKEN_FILE: ''
  }), loadConfig(servers))
})

t.test('a secret that cannot be read from its file is refused with the variable and the cure', async t => {
  const write = fileMaker(t)
  const unreadable = write(hidden)
  chmodSync(unreadable, 0)
  const folder = scratchFolder(t)
  mkdirSync(join(folder, 'inside'))
  const cases: Array<[string, RegExp]> = [
    [join(folder, 'gone'), /gone", which does not exist: correct the path, or create the file\.$/],
    [join(unreadable, 'below'), /below", which does not exist: /],
    [join(folder, 'inside'), /inside", which is a folder: name the file in it\.$/],
    [write(''), /", which is empty: write the secret into it\.$/],
    [write('\n'), /", which is empty: /],
    [write(hidden.repeat(2_000)), /", which has more than 65536 bytes: name a file that holds this secret alone\.$/],
    ['/dev/zero', /^KEY_ENCRYPTION_SECRET_FILE names "\/dev\/zero", which has more than 65536 bytes/],
    [write(Buffer.from(`é${hidden}`, 'latin1')), /", which is not UTF-8: write the secret into it as text\.$/]
  ]
  // The superuser may read every file.
  if (process.getuid?.() !== 0) {
    cases.push([unreadable, /", which this user may not read: change its owner or its mode\.$/])
  }
  for (const [path, expected] of cases) {
    const mistakes: string[] = []
    readSettings({ KEY_ENCRYPTION_SECRET_FILE: path }, mistakes)
    t.equal(mistakes.length, 1, path)
    t.match(mistakes[0], /^KEY_ENCRYPTION_SECRET_FILE names /)
    t.match(mistakes[0], expected)
    t.notMatch(mistakes[0], 'hush')
  }
})

t.test('a secret that is set twice, or is wrong in its file, is refused without its content', async t => {
  const write = fileMaker(t)
  const file = write(servers.DATABASE_URL)
  t.equal(
    refusalOf({ ...servers, DATABASE_URL_FILE: file }),
    'DATABASE_URL and DATABASE_URL_FILE are both set: keep one of them.'
  )
  t.match(
    refusalOf({ ...without('REDIS_URL'), REDIS_URL_FILE: write('http://hush') }),
    /^REDIS_URL \(from REDIS_URL_FILE\) is 11 bytes that do not fit; it must be an address such as redis:/
  )
  for (const mistaken of ['hush', '/hush', 'redis://:hush@redis.example:6379', 'hush/hush+hush=']) {
    const message = refusalOf({ ...without('REDIS_URL'), REDIS_URL_FILE: mistaken })
    t.match(message, /^REDIS_URL_FILE names a file \(\d+ characters, not shown\), which does not exist: /)
    t.notMatch(message, 'hush', 'the secret itself, set by mistake')
  }
})
