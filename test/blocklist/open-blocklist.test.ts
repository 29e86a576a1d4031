import t from 'tap'
import { onEachStorage } from '../support/app.ts'

t.test('the opened blocklist declares the deadline and the leeway of the settings', t =>
  onEachStorage(t, async (t, app) => {
    t.match(app.blocklist, { deadlineMs: 4_321, leewaySeconds: 7 })
  }, { BLOCKLIST_DEADLINE_MS: '4321', CLOCK_LEEWAY: '7' }))
