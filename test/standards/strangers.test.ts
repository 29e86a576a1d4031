import t from 'tap'
import { serversEnv } from '../support/app.ts'
import { libraries } from './libraries.ts'
import { startService } from './service.ts'

t.test('OAuth and JWT libraries of strangers work with the service as it is', async t => {
  const service = await startService(t, await serversEnv(t), 'RS256')
  for (const [name, { use }] of Object.entries(libraries)) {
    await t.test(name, async t => { await t.resolves(use(service)) })
  }
})
