import type {} from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { NoBody } from '../../src/schemas/schemas.ts'
import { toPublicDocument } from './document.ts'
import { toOpenapi30 } from './openapi-3.0.ts'
import { protectPages } from './page-headers.ts'
import { toPageDocument } from './page-document.ts'
import { pageScript } from './page-script.ts'
import { pageStyle } from './page-style.ts'

export interface OpenApiOptions {
  version: string
  /** True to serve the documentation page at `/docs`. */
  hasPage: boolean
  /** The public address of the service. */
  issuer: string
  /** True if a client may have its refresh token in a cookie. */
  hasCookies: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Returns the document as OpenAPI 3.0. */
    openapi30 (): object
  }
}

/** The policy of the documentation page. The page and all that it loads come from this service. */
const pagePolicy = {
  defaultSrc: ["'self'"],
  imgSrc: ["'self'", 'data:'],
  styleSrc: ["'self'", "'unsafe-inline'"],
  objectSrc: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  formAction: ["'none'"]
}

/**
 * Generates the OpenAPI document from the schemas of the routes that are registered later, and serves a page that shows
 * it.
 */
async function openapi (app: FastifyInstance, { version, hasPage, issuer, hasCookies }: OpenApiOptions): Promise<void> {
  await app.register(import('@fastify/swagger'), {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'signout',
        version,
        description:
          'An auth API in which logging out is real: once a logout is answered, the token is refused by every replica.',
        contact: { name: 'signout', url: 'https://github.com/signout/signout' },
        license: { name: 'MIT', identifier: 'MIT' }
      },
      servers: [{ url: '/', description: 'The service that serves this document.' }],
      tags: [
        { name: 'auth', description: 'Signing up, in and out.' },
        { name: 'oauth', description: 'For OAuth libraries, and for services in any language.' },
        { name: 'me', description: 'The account and the sessions of the user.' },
        { name: 'administration', description: 'For administrators. Their tokens have the scope `admin`.' },
        { name: 'proxies', description: 'For proxies in front of other services.' },
        { name: 'operations', description: 'For load balancers, and for services that verify our tokens.' }
      ],
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The `access_token` of a login. It is verified by RFC8725.'
          },
          refresh_cookie: {
            type: 'apiKey',
            in: 'cookie',
            name: '__Host-signout-refresh',
            description: 'The refresh token of a cookie client, which sends `X-Signout-CSRF` too. Needs `COOKIES=on`.'
          }
        }
      }
    },
    transform: ({ schema, url }) => ({
      schema: schema?.body === NoBody ? { ...schema, body: undefined } : schema,
      url
    }),
    transformObject: document => toPublicDocument((document as { openapiObject: object }).openapiObject),
    // Components have the names of their schemas.
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) =>
        typeof json.$id === 'string' ? json.$id : `schema-${index}`
    }
  })
  let made: object | undefined
  app.decorate('openapi30', () => {
    made ??= toOpenapi30(app.swagger(), issuer)
    return made
  })
  if (hasPage) await app.register(page, { hasCookies })
}

/** Serves the page, in a scope of its own: its headers are for no other route. */
async function page (app: FastifyInstance, { hasCookies }: Pick<OpenApiOptions, 'hasCookies'>): Promise<void> {
  await protectPages(app, pagePolicy)
  await app.register(import('@fastify/swagger-ui'), {
    routePrefix: '/docs',
    transformSpecification: document => toPageDocument(document, hasCookies),
    theme: {
      title: 'signout',
      css: [{ filename: 'page.css', content: pageStyle }],
      js: [{ filename: 'page.js', content: pageScript }]
    },
    uiConfig: { layout: 'BaseLayout', deepLinking: true, tryItOutEnabled: true }
  })
}

export default fp(openapi, { name: 'openapi', fastify: '5.x', dependencies: ['validation'] })
