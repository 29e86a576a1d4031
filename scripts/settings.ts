import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { packageRoot } from '../src/package-root.ts'
import { fileVariableOf } from '../src/settings/secret-files.ts'
import { settingGroups } from '../src/settings/settings.ts'

interface Described {
  description: string
  must: string
  default?: unknown
  example?: string
  secret?: true
}

/** The files that are made from the schema of the settings, by their paths in the repository. */
export function makeSettingsFiles (): Record<string, string> {
  return { '.env.example': makeEnvExample(), 'docs/configuration.md': makeReference() }
}

const groups = Object.entries(settingGroups)
  .map(([title, settings]) => ({ title, settings: Object.entries(settings) as unknown as Array<[string, Described]> }))

function makeEnvExample (): string {
  const parts = groups.map(({ title, settings }) => [
    `# ${title}`,
    ...settings.flatMap(([name, setting]) => [
      ...wrap(`${setting.description} It must be ${setting.must}.`).map(line => `# ${line}`),
      'default' in setting ? `${name}=${setting.default}` : `#${name}=${setting.example ?? ''}`,
      ...setting.secret === true ? [`#${fileVariableOf(name)}=/run/secrets/${name.toLowerCase()}`] : []
    ])
  ].join('\n'))
  return `${envIntroduction}\n\n${parts.join('\n\n')}\n\n${composeSettings}\n`
}

const envIntroduction = `# Every setting of signout, with its default. Copy this file to .env and change what you need.
# Variables of the environment win over those in .env. An empty variable counts as unset.
# A secret can be in a file instead: set the variable that ends in _FILE to the path of the file, and not the other one.
# This file is made by: npm run settings`

const composeSettings = `# Docker Compose
# Only docker-compose.yml reads these. It also needs KEY_ENCRYPTION_SECRET.
# The passwords of Postgres and Redis. They become part of addresses, so use letters and digits alone, such as the
# output of: openssl rand -hex 24
#POSTGRES_PASSWORD=
#REDIS_SERVER_PASSWORD=
# The ports of Postgres and Redis on this machine, and the network between load balancer and replicas.
#POSTGRES_PORT=15432
#REDIS_PORT=16379
#SUBNET=172.30.80.0/24`

function makeReference (): string {
  const sections = groups.map(({ title, settings }) => [
    `## ${title}\n`,
    '| variable | default | meaning | value |',
    '| --- | --- | --- | --- |',
    ...settings.map(([name, { default: otherwise, description, must, secret }]) =>
      `| ${[name, ...secret === true ? [fileVariableOf(name)] : []].map(code).join(' or ')} | ${otherwise === undefined ? '' : `\`${String(otherwise)}\``} | ${description} | ${must} |`)
  ].join('\n'))
  return `${referenceIntroduction}\n\n${sections.join('\n\n')}\n`
}

const referenceIntroduction = `# Settings

<!-- Made by \`npm run settings\` from src/settings/settings.ts. -->

The service and the commands of [\`npx signout\`](cli.md) read environment variables, and the file \`.env\` in the current folder.
Variables of the environment win. An empty variable counts as unset. Durations are in seconds, unless the name ends in \`_MS\`.

## Secrets in files

Every secret can be in a file, as Docker and Kubernetes provide it. Set the variable that ends in \`_FILE\` to the path of the file:

\`\`\`sh
KEY_ENCRYPTION_SECRET_FILE=/run/secrets/key_encryption_secret
\`\`\`

The secret is the content of the file, without one line break at its end. The file is read once, at the start. A start is refused
if both variables are set, or if the file cannot be read, is empty, or has more than 65,536 bytes.

## Mistakes

A wrong value stops the start with one line that says which, and what it must be. \`npx signout check-config\` shows the values in
effect. [.env.example](../.env.example) has all of them, ready to copy. [Redis](redis.md), [replicas](replicas.md) and
[limits](limits.md) have pages of their own.

A variable that looks like a misspelled setting, such as \`REDIS_URI\` or \`ACCES_TOKEN_TTL\`, has no effect. The service logs a
warning that names the setting that you probably meant. The commands print it to standard error.`

function code (text: string): string {
  return `\`${text}\``
}

function wrap (text: string, columns = 118): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string
    if (line.length + 1 + word.length > columns) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

if (process.argv[1] === import.meta.filename) {
  new Command('npm run settings --')
    .description('Writes .env.example and docs/configuration.md, which are made from the schema of the settings.')
    .option('--check', 'write nothing; exit with 1 if the files differ')
    .action(({ check }: { check?: true }) => {
      for (const [path, text] of Object.entries(makeSettingsFiles())) {
        const file = join(packageRoot, path)
        if (check === undefined) writeFileSync(file, text)
        else if (readFileSync(file, 'utf8') !== text) {
          process.stderr.write(`${path} differs from the schema: run \`npm run settings\` and commit it.\n`)
          process.exitCode = 1
        }
      }
    })
    .parse()
}
