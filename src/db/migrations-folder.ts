import { join } from 'node:path'
import { packageRoot } from '../package-root.ts'

/**
 * The folder of the migrations, which Postgres and PGlite share. They are SQL files, which the compiler does not copy.
 */
export const migrationsFolder: string = join(packageRoot, 'src', 'db', 'migrations')
