import { describe, expect, it } from 'vitest'
import { defaulted, meta, refusals } from '#test/support/admission.ts'
import type { Container, Pod, PodSpec } from './pod.ts'

function pod(spec: Partial<PodSpec>, container: object = {}): Pod {
  const containers = [{ name: 'web', image: 'nginx', ...container }]
  return { apiVersion: 'v1', kind: 'Pod', metadata: meta('web'), spec: { containers, ...spec } }
}

const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const RANGE = 'must be between 1 and 65535, inclusive'
const C = 'spec.containers[0]'

describe('what is wrong with a container', () => {
  it.each<[string, object, string]>([
    ['no name', { name: '' }, `${C}.name: Required value`],
    ['a bad name', { name: 'Web' }, `${C}.name: Invalid value: "Web": ${LABEL_TEXT}`],
    ['no image', { image: '' }, `${C}.image: Required value`],
    [
      'an image with blanks',
      { image: 'nginx ' },
      `${C}.image: Invalid value: "nginx ": must not have leading or trailing whitespace`,
    ],
    [
      'a pull policy that is none',
      { imagePullPolicy: 'Often' },
      `${C}.imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never"`,
    ],
    ['no port', { ports: [{}] }, `${C}.ports[0].containerPort: Required value`],
    [
      'a port out of range',
      { ports: [{ containerPort: 70_000 }] },
      `${C}.ports[0].containerPort: Invalid value: 70000: ${RANGE}`,
    ],
    [
      'a port name twice',
      { ports: ['a', 'a'].map((name, index) => ({ name, containerPort: 80 + index })) },
      `${C}.ports[1].name: Duplicate value: "a"`,
    ],
    [
      'a protocol that is none',
      { ports: [{ containerPort: 80, protocol: 'HTTP' }] },
      `${C}.ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP"`,
    ],
    ['no env name', { env: [{ value: 'x' }] }, `${C}.env[0].name: Required value`],
    [
      'a bad env name',
      { env: [{ name: 'A=B' }] },
      `${C}.env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='`,
    ],
    [
      'two sources of one variable',
      { env: [{ name: 'A', value: 'x', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] },
      `${C}.env[0].valueFrom: Invalid value: "": may not be specified when \`value\` is not empty`,
    ],
    [
      'no source',
      { env: [{ name: 'A', valueFrom: {} }] },
      `${C}.env[0].valueFrom: Invalid value: "": must specify one of: \`fieldRef\`, \`resourceFieldRef\`, \`configMapKeyRef\` or \`secretKeyRef\``,
    ],
    [
      'a field that is none',
      { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }] },
      `${C}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": error converting fieldPath: field label not supported: spec.x`,
    ],
    [
      'no key',
      { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's' } } }] },
      `${C}.env[0].valueFrom.secretKeyRef.key: Required value`,
    ],
    [
      'nothing to take the environment from',
      { envFrom: [{}] },
      `${C}.envFrom[0]: Invalid value: "": must specify one of: \`configMapRef\` or \`secretRef\``,
    ],
    [
      'a mount of no volume',
      { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
      `${C}.volumeMounts[0].name: Not found: "data"`,
    ],
    [
      'more requested than allowed',
      { resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } },
      `${C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`,
    ],
    [
      'a negative quantity',
      { resources: { requests: { cpu: '-1' } } },
      `${C}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0`,
    ],
    [
      'no quantity',
      { resources: { limits: { memory: 'lots' } } },
      `${C}.resources.limits[memory]: Invalid value: "lots": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
    ],
    [
      'a resource that is none',
      { resources: { limits: { speed: '1' } } },
      `${C}.resources.limits[speed]: Invalid value: "speed": must be a standard resource type or fully qualified`,
    ],
    [
      'a device without limit',
      { resources: { requests: { 'nvidia.com/gpu': '1' } } },
      `${C}.resources.limits: Required value: Limit must be set for non overcommitable resources`,
    ],
    [
      'a probe without handler',
      { readinessProbe: { periodSeconds: 1 } },
      `${C}.readinessProbe: Required value: must specify a handler type`,
    ],
    [
      'a probe with two handlers',
      { readinessProbe: { exec: { command: ['a'] }, tcpSocket: { port: 1 } } },
      `${C}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type`,
    ],
    [
      'a liveness probe that wants two successes',
      { livenessProbe: { tcpSocket: { port: 1 }, successThreshold: 2 } },
      `${C}.livenessProbe.successThreshold: Invalid value: 2: must be 1`,
    ],
    [
      'a negative delay',
      { startupProbe: { tcpSocket: { port: 1 }, initialDelaySeconds: -1 } },
      `${C}.startupProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0`,
    ],
    [
      'a probe of a port that is none',
      { livenessProbe: { httpGet: { port: 0 } } },
      `${C}.livenessProbe.httpGet.port: Invalid value: 0: ${RANGE}`,
    ],
    [
      'a restart policy of its own',
      { restartPolicy: 'Always' },
      `${C}.restartPolicy: Forbidden: may not be set for non-init containers`,
    ],
  ])('%s', (_, container, expected) => {
    expect(refusals(pod({}, container))).toContain(expected)
  })
})

describe('what is wrong with a pod', () => {
  const sidecar: Container = { name: 'side', image: 'x', restartPolicy: 'Always' }
  it.each<[string, object, string]>([
    ['no containers', { containers: [] }, 'spec.containers: Required value'],
    [
      'a restart policy that is none',
      { restartPolicy: 'x' },
      'spec.restartPolicy: Unsupported value: "x": supported values: "Always", "OnFailure", "Never"',
    ],
    [
      'two containers of one name',
      {
        containers: [
          { name: 'a', image: 'x' },
          { name: 'a', image: 'y' },
        ],
      },
      'spec.containers[1].name: Duplicate value: "a"',
    ],
    [
      'an init container that is probed',
      { initContainers: [{ name: 'i', image: 'x', livenessProbe: { tcpSocket: { port: 1 } } }] },
      'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
    ],
    [
      'a volume twice',
      {
        volumes: [
          { name: 'v', emptyDir: {} },
          { name: 'v', emptyDir: {} },
        ],
      },
      'spec.volumes[1].name: Duplicate value: "v"',
    ],
    [
      'a volume of two kinds',
      { volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/x' } }] },
      'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type',
    ],
    [
      'a secret volume without secret',
      { volumes: [{ name: 'v', secret: {} }] },
      'spec.volumes[0].secret.secretName: Required value',
    ],
    [
      'a deadline of nothing',
      { activeDeadlineSeconds: 0 },
      'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
    ],
    [
      'a toleration of everything that is not said to be one',
      { tolerations: [{ effect: 'NoSchedule' }] },
      'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"',
    ],
    [
      'affinity without terms',
      {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] },
          },
        },
      },
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term',
    ],
    [
      'spread without skew',
      {
        topologySpreadConstraints: [
          { maxSkew: 0, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
        ],
      },
      'spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
    ],
    [
      'containers for debugging, at once',
      { ephemeralContainers: [{ name: 'd', image: 'x' }] },
      'spec.ephemeralContainers: Forbidden: cannot be set on create',
    ],
    [
      'a host port twice',
      {
        containers: ['a', 'b'].map((name) => ({
          name,
          image: 'x',
          ports: [{ containerPort: 80, hostPort: 80 }],
        })),
      },
      'spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"',
    ],
  ])('%s', (_, spec, expected) => {
    expect(refusals(pod(spec))).toContain(expected)
  })

  it('accepts one that uses everything', () => {
    const rich = pod(
      {
        volumes: [{ name: 'v', secret: { secretName: 's', items: [{ key: 'a', path: 'b/c' }] } }],
        initContainers: [sidecar],
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'a', operator: 'Equal', value: 'b', effect: 'NoSchedule' }],
        affinity: {
          podAntiAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 1, podAffinityTerm: { topologyKey: 'kubernetes.io/hostname' } },
            ],
          },
        },
      },
      {
        ports: [{ name: 'http', containerPort: 80 }],
        env: [
          { name: 'A', value: '' },
          { name: 'L', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
        ],
        envFrom: [{ configMapRef: { name: 'c' } }],
        volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 'b' }],
        resources: { limits: { cpu: '1', 'nvidia.com/gpu': '1' } },
        lifecycle: { preStop: { sleep: { seconds: 1 } } },
        livenessProbe: { exec: { command: ['true'] } },
        readinessProbe: { httpGet: { port: 'http' }, successThreshold: 2 },
      },
    )
    expect(refusals(rich)).toEqual([])
  })
})

describe('an update of a pod', () => {
  const old = defaulted(pod({ activeDeadlineSeconds: 100 }))

  function refusalsOf(change: (draft: Pod) => void): string[] {
    const draft = structuredClone(old)
    change(draft)
    return refusals(draft, { old })
  }

  it('may change images, labels, and add tolerations', () => {
    const causes = refusalsOf((draft) => {
      draft.metadata.labels = { a: 'b' }
      draft.spec.containers = draft.spec.containers.map((each) => ({ ...each, image: 'nginx:2' }))
      draft.spec.tolerations?.push({ key: 'x', operator: 'Exists' })
      draft.spec.activeDeadlineSeconds = 50
    })
    expect(causes).toEqual([])
  })

  it('says at length what it may not change, and what differs', () => {
    const [cause, ...others] = refusalsOf((draft) => {
      draft.spec.nodeName = 'other'
      draft.spec.containers = draft.spec.containers.map((each) => ({ ...each, command: ['sh'] }))
    })
    expect(others).toEqual([])
    expect(cause).toBe(
      'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n' +
        '+  containers[0].command: ["sh"]\n+  nodeName: "other"',
    )
  })

  it.each<[string, (draft: Pod) => void, string]>([
    [
      'adds a container',
      (draft) => void draft.spec.containers.push({ name: 'b', image: 'x' }),
      'spec.containers: Forbidden: pod updates may not add or remove containers',
    ],
    [
      'extends the deadline',
      (draft) => {
        draft.spec.activeDeadlineSeconds = 200
      },
      'spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value',
    ],
    [
      'takes the deadline away',
      (draft) => {
        delete draft.spec.activeDeadlineSeconds
      },
      'spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value',
    ],
    [
      'changes a toleration',
      (draft) => {
        draft.spec.tolerations = [{ operator: 'Exists', effect: 'NoExecute' }]
      },
      'spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds',
    ],
  ])('that %s is refused', (_, change, expected) => {
    expect(refusalsOf(change)).toContain(expected)
  })
})
