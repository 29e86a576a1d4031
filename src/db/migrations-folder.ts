import { join } from 'node:path'
import { packageRoot } from '../package-root.ts'

/** The migrations of Postgres and PGlite alike. They are SQL, which the compiler leaves where it is. */
export const migrationsFolder: string = join(packageRoot, 'src', 'db', 'migrations')
