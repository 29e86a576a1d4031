import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeSettingsFiles } from '../../scripts/settings.ts'
import { packageRoot } from '../../src/package-root.ts'

t.test('.env.example and docs/configuration.md are made from the schema of the settings', async t => {
  for (const [path, text] of Object.entries(makeSettingsFiles())) {
    t.equal(readFileSync(join(packageRoot, path), 'utf8'), text, `${path}: run \`npm run settings\` and commit it`)
  }
})
