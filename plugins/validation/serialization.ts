import SerializerSelector from '@fastify/fast-json-stringify-compiler'
import { lazily } from './lazily.ts'

/**
 * Creates the serializers of answers, one for each schema, when the first answer needs it. Fastify would create one for
 * each answer of each route at every start, and each costs milliseconds. Errors need none: all are made in one place.
 */
export const buildSerializer: SerializerSelector.SerializerFactory = (components, options) => {
  const compile = SerializerSelector()(components, options)
  const serializers = new Map<string, SerializerSelector.Serializer>()
  return route => {
    if (Number(route.httpStatus) >= 400) return JSON.stringify
    const schema = JSON.stringify(route.schema)
    const serializer = serializers.get(schema) ?? lazily(() => compile(route))
    serializers.set(schema, serializer)
    return serializer
  }
}
