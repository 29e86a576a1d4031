import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment'
import type { IJob } from 'kubernetes-models/batch/v1/Job'
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap'
import type { ISecret } from 'kubernetes-models/v1/Secret'
import type { IService } from 'kubernetes-models/v1/Service'
import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { packageRoot, version } from '../../src/package-root.ts'
import { secret as rootSecret } from '../support/app.ts'
import { imageEnv, lastStage } from './image.ts'
import { manifestFiles, mistakesOf, readManifest } from './kubernetes.ts'

const deployment = readManifest<IDeployment>('deployment.yaml')
const job = readManifest<IJob>('migration.yaml')
const service = readManifest<IService>('service.yaml')
const secret = readManifest<ISecret>('secret.example.yaml')
const config = readManifest<IConfigMap>('config.yaml')
const policy = readManifest<INetworkPolicy>('network-policy.yaml')
const kustomization = readManifest<{ namespace: string, resources: string[], images: object[] }>('kustomization.yaml')
const podOf = ({ spec }: IDeployment | IJob) => spec?.template.spec as NonNullable<typeof spec>['template']['spec'] & {}
const containerOf = (workload: IDeployment | IJob) => podOf(workload).containers[0] as NonNullable<
  ReturnType<typeof podOf>['containers'][number]>
const envOf = (workload: IDeployment | IJob) =>
  Object.fromEntries((containerOf(workload).env ?? []).map(({ name, value }) => [name, value ?? '']))

t.test('every object is valid by the published schemas of Kubernetes, and has no unknown field', async t => {
  const files = manifestFiles.filter(file => file !== 'kustomization.yaml')
  t.ok(files.length >= 7)
  for (const file of files) t.same(await mistakesOf(readManifest(file)), [], file)
})

t.test('the check by the schemas finds unknown fields, missing fields and wrong values', async t => {
  const { spec, ...rest } = structuredClone(deployment) as IDeployment & { metadata: { name: string } }
  const wrong: object[] = [
    { ...spec, replica: 3 },
    { ...spec, selector: undefined },
    { ...spec, replicas: 'three' },
    { ...spec, replicas: 2 ** 40 }
  ]
  for (const spec of wrong) t.not((await mistakesOf(JSON.parse(JSON.stringify({ ...rest, spec })))).length, 0)
})

t.test('kustomization.yaml names every file but the example of the Secret, and the version of the package', async t => {
  const others = ['kustomization.yaml', 'secret.example.yaml']
  t.same([...kustomization.resources, ...others].sort(), manifestFiles)
  t.match(kustomization.images, [{ name: containerOf(deployment).image, newTag: version }])
  t.equal(secret.metadata?.namespace, kustomization.namespace)
})

t.test('selectors, ports, ConfigMap and Secret belong together', async t => {
  const labels = deployment.spec?.template.metadata?.labels
  const budget = readManifest<IPodDisruptionBudget>('pod-disruption-budget.yaml')
  for (const selector of [
    deployment.spec?.selector.matchLabels, service.spec?.selector, budget.spec?.selector?.matchLabels,
    ...podOf(deployment).topologySpreadConstraints?.map(({ labelSelector }) => labelSelector?.matchLabels) ?? []
  ]) t.same(selector, labels)
  const common = policy.spec?.podSelector?.matchLabels ?? {}
  for (const workload of [deployment, job]) t.match(workload.spec?.template.metadata?.labels, common)
  t.not(job.spec?.template.metadata?.labels?.['app.kubernetes.io/component'], labels?.['app.kubernetes.io/component'])
  const ports = containerOf(deployment).ports ?? []
  const named = (name: string) => ports.find(port => port.name === name)?.containerPort
  t.equal(String(named('http')), imageEnv()['PORT'])
  t.equal(String(named('metrics')), envOf(deployment)['METRICS_PORT'])
  t.same(service.spec?.ports?.map(({ targetPort }) => targetPort), ['http'], 'no one reaches the metrics through it')
  t.same(policy.spec?.ingress?.map(({ ports }) => ports?.[0]?.port), ['http', 'metrics'])
  for (const workload of [deployment, job]) {
    t.same(containerOf(workload).envFrom, [{ configMapRef: { name: config.metadata?.name } }])
    t.equal(podOf(workload).volumes?.find(({ name }) => name === 'secrets')?.secret?.secretName, secret.metadata?.name)
  }
})

t.test('secrets are files of the Secret, and the settings with them are valid', async t => {
  for (const workload of [deployment, job]) {
    const { mountPath } = containerOf(workload).volumeMounts?.find(({ name }) => name === 'secrets') ?? {}
    const files = Object.entries(envOf(workload)).filter(([name]) => name.endsWith('_FILE'))
    const mounted = Object.keys(secret.stringData ?? {}).map(key => `${mountPath}/${key}`)
    t.same(files.map(([, file]) => file).sort(), mounted.sort())
    const secrets = Object.fromEntries(files.map(([name, file]) => {
      const value = secret.stringData?.[file.slice(`${mountPath}/`.length)] ?? ''
      return [name.replace(/_FILE$/, ''), name.startsWith('KEY') ? rootSecret : value]
    }))
    const plain = Object.fromEntries(Object.entries(envOf(workload)).filter(([name]) => !name.endsWith('_FILE')))
    t.match(loadConfig({ ...imageEnv(), ...config.data, ...plain, ...secrets }), {
      storage: { kind: 'servers', redis: { kind: 'standalone' } }, http: { trustProxy: [/^10\./] }
    })
  }
})

t.test('the probes ask the addresses of the health, and a pod has time to drain', async t => {
  const { startupProbe, livenessProbe, readinessProbe } = containerOf(deployment)
  t.same([startupProbe, livenessProbe, readinessProbe].map(probe => probe?.httpGet), [
    { path: '/health/live', port: 'http' },
    { path: '/health/live', port: 'http' },
    { path: '/health/ready', port: 'http' }
  ])
  const delay = Number(envOf(deployment)['SHUTDOWN_DELAY'])
  const { periodSeconds = 0, failureThreshold = 0 } = readinessProbe ?? {}
  t.ok(delay > periodSeconds * failureThreshold, 'a pod is not ready well before it closes')
  const graceMs = /graceMs = ([\d_]+)/.exec(readFileSync(join(packageRoot, 'src/process/serve.ts'), 'utf8'))?.[1]
  const grace = Number(graceMs?.replaceAll('_', '')) / 1_000
  t.ok(Number(podOf(deployment).terminationGracePeriodSeconds) > delay + grace)
  t.match(deployment.spec?.strategy, { rollingUpdate: { maxUnavailable: 0 } })
})

t.test('the Job migrates and the replicas do not, and neither has a right that it does not need', async t => {
  t.equal(envOf(deployment)['MIGRATE_ON_START'], 'no')
  t.same(containerOf(job).command, ['node', 'dist/src/cli.js', 'migrate'])
  t.match(lastStage().join('\n'), 'CMD ["node", "dist/src/server.js"]', 'beside the server of the image')
  t.equal(containerOf(job).image, containerOf(deployment).image)
  for (const workload of [deployment, job]) {
    const [user, group] = lastStage().find(line => line.startsWith('USER '))?.slice(5).split(':').map(Number) ?? []
    t.match(podOf(workload), {
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: group,
        fsGroup: group,
        seccompProfile: { type: 'RuntimeDefault' }
      }
    })
    t.match(containerOf(workload), {
      securityContext: {
        allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] }
      },
      resources: { requests: { cpu: /\d/, memory: /Mi$/ }, limits: { cpu: /\d/, memory: /Mi$/ } }
    })
    t.equal(podOf(workload).volumes?.find(({ name }) => name === 'secrets')?.secret?.defaultMode, 0o440)
  }
})
