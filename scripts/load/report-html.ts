import type { Report } from './report.ts'
export function htmlOf (report: Report): string { return JSON.stringify(report) }
