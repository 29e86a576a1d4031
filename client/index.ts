export { createClient } from './client.ts'
export type {
  CallOptions, Client, ClientEvent, ClientOptions, SignedOutReason, SignOutResult
} from './client-types.ts'
export { hasCode, isSignoutError, SignoutError } from './http/errors.ts'
export type { ClientErrorCode, ErrorCode, ServerErrorCode } from './http/errors.ts'
export type { components, paths } from './openapi.d.ts'
export type { Answer, Body, Route, RouteOptions } from './http/routes.ts'
export { memoryStorage, webStorage } from './storage/storage.ts'
export type { TokenStorage, WebArea } from './storage/storage.ts'
