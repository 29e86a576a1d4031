import SerializerSelector from '@fastify/fast-json-stringify-compiler'

/**
 * Creates the serializers of answers, one for each schema. Fastify would create one for each answer of each route. Most
 * of these are the error of the API, and each costs milliseconds at every start.
 */
export const buildSerializer: SerializerSelector.SerializerFactory = (components, options) => {
  const compile = SerializerSelector()(components, options)
  const serializers = new Map<string, SerializerSelector.Serializer>()
  return route => {
    const schema = JSON.stringify(route.schema)
    const serializer = serializers.get(schema) ?? compile(route)
    serializers.set(schema, serializer)
    return serializer
  }
}
