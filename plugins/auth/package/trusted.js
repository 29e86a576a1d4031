// The entry fastify-signout/trusted. The functions are those of the plugin, so that there is one class of each error.
// Only the types differ: they add no decorator to Fastify.
export {
  createMemoryBlocklist, createPostgresRecord, createRedisBlocklist, createRedisConnection, createTrusted,
  postgresRecordSql, SignoutError
} from './index.js'
