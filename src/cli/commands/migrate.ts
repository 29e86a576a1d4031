import { loadConfig } from '../../config.ts'
import { openDataDir } from '../../db/embedded/data-dir.ts'
import { migrateEmbedded } from '../../db/embedded/embedded.ts'
import { migratePostgres } from '../../db/postgres/postgres.ts'
import { describeUrl } from '../../input/describe-url.ts'
import { readEnv } from '../../input/read-env.ts'
import { print } from '../terminal.ts'

/** Brings the tables up to date, and opens nothing else. */
export async function migrate (): Promise<void> {
  const { storage, database: { deadlineMs } } = loadConfig(readEnv())
  if (storage.kind === 'servers') {
    report(describeUrl(storage.databaseUrl), await migratePostgres({ url: storage.databaseUrl, deadlineMs }))
    return
  }
  const dataDir = await openDataDir(storage.dataDir)
  try {
    report(dataDir.path, await migrateEmbedded(dataDir.path))
  } finally {
    await dataDir.unlock()
  }
}

function report (where: string, applied: number): void {
  const done =
    applied === 0
      ? 'nothing had to be done'
      : applied === 1
        ? '1 migration was applied'
        : `${applied} migrations were applied`
  print(`The tables at ${where} are up to date: ${done}.`)
}
