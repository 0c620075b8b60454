import { describe, expect, test } from 'vitest'
import type { Container, Pod } from '#shared/api/pod.ts'
import type { Service } from '#shared/api/service.ts'
import type { PodFacts } from './downward.ts'
import { argvOf, buildEnv, expand } from './env.ts'
import type { Configuration } from './env.ts'
import { serviceEnv } from './service-env.ts'

const POD: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'p',
    namespace: 'default',
    uid: 'u',
    creationTimestamp: '',
    labels: { app: 'web', 'a/b': 'c' },
  },
  spec: { containers: [], nodeName: 'n' },
}
const FACTS: PodFacts = {
  pod: POD,
  podIP: '10.4.1.2',
  hostIP: '10.128.0.5',
  allocatable: { cpuMillis: 940, memoryBytes: 2 ** 30 },
}
const META = { namespace: 'default', uid: '', creationTimestamp: '' }
const CONFIGURATION: Configuration = {
  configMaps: new Map([
    [
      'default/settings',
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { ...META, name: 'settings' },
        data: { a: '1' },
      },
    ],
  ]),
  secrets: new Map([
    [
      'default/keys',
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { ...META, name: 'keys' },
        data: { k: 'c2VzYW1l' },
      },
    ],
  ]),
}

function envOf(container: Partial<Container>, services = {}): Record<string, string> {
  return buildEnv(FACTS, { name: 'web', ...container }, CONFIGURATION, services)
}

describe('expand', () => {
  test.each([
    ['$(A)-$(B)', '1-$(B)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$A $ $(', '$A $ $('],
  ])('%s is %s', (text, expected) => {
    expect(expand(text, (name) => ({ A: '1' })[name])).toBe(expected)
  })
})

describe('the environment', () => {
  test('later wins over earlier: services, envFrom, env', () => {
    const env = envOf(
      {
        envFrom: [
          { configMapRef: { name: 'settings' } },
          { prefix: 'S_', secretRef: { name: 'keys' } },
        ],
        env: [
          { name: 'b', value: '$(a)+$(S_k)+$(SVC)+$(c)' },
          { name: 'c', value: 'x' },
        ],
      },
      { SVC: 'svc', a: 'service' },
    )
    expect(env).toEqual({ SVC: 'svc', a: '1', S_k: 'sesame', b: '1+sesame+svc+$(c)', c: 'x' })
  })

  test.each([
    ['metadata.name', 'p'],
    ['metadata.namespace', 'default'],
    ["metadata.labels['a/b']", 'c'],
    ["metadata.annotations['none']", ''],
    ['spec.nodeName', 'n'],
    ['spec.serviceAccountName', 'default'],
    ['status.podIP', '10.4.1.2'],
    ['status.hostIP', '10.128.0.5'],
  ])('fieldRef %s', (fieldPath, expected) => {
    const env = [{ name: 'X', valueFrom: { fieldRef: { fieldPath } } }]
    expect(envOf({ env })).toEqual({ X: expected })
  })

  test.each([
    ['limits.cpu', undefined, '1'],
    ['limits.cpu', '1m', '250'],
    ['limits.memory', '1Mi', '64'],
    ['requests.memory', undefined, '0'],
    ['limits.ephemeral-storage', undefined, '0'],
  ])('resourceFieldRef %s with divisor %s', (resource, divisor, expected) => {
    const valueFrom = { resourceFieldRef: { resource, ...(divisor ? { divisor } : {}) } }
    const resources = { limits: { cpu: '250m', memory: '64Mi' } }
    expect(envOf({ env: [{ name: 'X', valueFrom }], resources })).toEqual({ X: expected })
  })

  test('a limit that is not set is what the node has', () => {
    const valueFrom = { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } }
    expect(envOf({ env: [{ name: 'X', valueFrom }] })).toEqual({ X: '940' })
  })

  test.each([
    [{ configMapKeyRef: { name: 'none', key: 'a' } }, 'configmap "none" not found'],
    [
      { configMapKeyRef: { name: 'settings', key: 'b' } },
      "couldn't find key b in ConfigMap default/settings",
    ],
    [{ secretKeyRef: { name: 'none', key: 'a' } }, 'secret "none" not found'],
    [{ secretKeyRef: { name: 'keys', key: 'b' } }, "couldn't find key b in Secret default/keys"],
  ])('%j is refused', (valueFrom, message) => {
    const env = [{ name: 'X', valueFrom }]
    expect(() => envOf({ env })).toThrow(
      expect.objectContaining({ reason: 'CreateContainerConfigError', message }),
    )
  })

  test('what is optional may be missing', () => {
    const env = [
      { name: 'X', valueFrom: { configMapKeyRef: { name: 'none', key: 'a', optional: true } } },
    ]
    const envFrom = [{ secretRef: { name: 'none', optional: true } }]
    expect(envOf({ env, envFrom })).toEqual({})
  })
})

describe('the command', () => {
  const image = { entrypoint: ['node'], cmd: ['server.js'] }
  test.each([
    [{}, ['node', 'server.js']],
    [{ args: ['--x=$(A)'] }, ['node', '--x=1']],
    [{ command: ['sh'] }, ['sh']],
    [{ command: ['sh'], args: ['-c', 'echo $(A) $(B)'] }, ['sh', '-c', 'echo 1 $(B)']],
  ])('%j', (container, expected) => {
    expect(argvOf(image, { name: 'web', ...container }, { A: '1' })).toEqual(expected)
  })
})

describe('service variables', () => {
  const service = (
    name: string,
    namespace: string,
    ports: { name?: string; port: number }[],
  ): Service => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, uid: name, creationTimestamp: '' },
    spec: { ports },
  })
  const services = [
    service('model-api', 'default', [
      { name: 'http', port: 8080 },
      { name: 'x', port: 9 },
    ]),
    service('other', 'elsewhere', [{ port: 80 }]),
    service('kubernetes', 'default', [{ port: 443 }]),
  ]
  const api = { host: '127.0.0.1', port: 6443 }

  test('name the Services of the namespace, by where they answer here', () => {
    const at = (_: Service, { port }: { port: number }) => ({
      host: '127.0.0.1',
      port: port + 30_000,
    })
    const env = serviceEnv(services, 'default', true, api, at)
    expect(env).toMatchObject({
      MODEL_API_SERVICE_HOST: '127.0.0.1',
      MODEL_API_SERVICE_PORT: '38080',
      MODEL_API_SERVICE_PORT_HTTP: '38080',
      MODEL_API_SERVICE_PORT_X: '30009',
      MODEL_API_PORT: 'tcp://127.0.0.1:38080',
      MODEL_API_PORT_8080_TCP_PORT: '38080',
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: '6443',
    })
    expect(Object.keys(env).filter((name) => name.startsWith('OTHER'))).toEqual([])
  })

  test('a port of UDP is named as one', () => {
    const dns: Service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...META, name: 'dns' },
      spec: { ports: [{ port: 53, protocol: 'UDP' }] },
    }
    const at = { host: '34.118.224.77', port: 53 }
    expect(serviceEnv([dns], 'default', true, at, () => at)).toMatchObject({
      DNS_PORT: 'udp://34.118.224.77:53',
      DNS_PORT_53_UDP: 'udp://34.118.224.77:53',
      DNS_PORT_53_UDP_PROTO: 'udp',
    })
  })

  test('without service links only the API is named', () => {
    const env = serviceEnv(services, 'default', false, api, () => api)
    expect(Object.keys(env).every((name) => name.startsWith('KUBERNETES_'))).toBe(true)
  })
})
