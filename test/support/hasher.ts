import { createPasswordHasher, type HashCost } from '../../src/users/password-hasher.ts'

/** The least that Argon2id allows. With the cost of the service, hashes would take a tenth of the suite's time. */
export const quickHash: HashCost = { memoryCost: 8, timeCost: 1 }

/** Hashes passwords at {@link quickHash}, for tests that add users to the database. */
export const quickHasher = await createPasswordHasher({ cost: quickHash })
