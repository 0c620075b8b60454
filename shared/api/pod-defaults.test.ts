import { describe, expect, it } from 'vitest'
import { defaulted, meta, refusals } from '#test/support/admission.ts'
import type { Container, Pod, PodSpec } from './pod.ts'

function pod(spec: Partial<PodSpec>, container: Partial<Container> = {}): Pod {
  const containers = [{ name: 'web', image: 'nginx', ...container }]
  return { apiVersion: 'v1', kind: 'Pod', metadata: meta('web'), spec: { containers, ...spec } }
}

function containerOf(container: Partial<Container>): Container {
  const [first] = defaulted(pod({}, container)).spec.containers
  if (!first) throw new Error('the container is gone')
  return first
}

describe('defaults of a pod', () => {
  it('are those of Kubernetes', () => {
    expect(defaulted(pod({}))).toMatchObject({
      spec: {
        restartPolicy: 'Always',
        dnsPolicy: 'ClusterFirst',
        schedulerName: 'default-scheduler',
        securityContext: {},
        terminationGracePeriodSeconds: 30,
        enableServiceLinks: true,
        serviceAccountName: 'default',
        serviceAccount: 'default',
        priority: 0,
        preemptionPolicy: 'PreemptLowerPriority',
        containers: [
          {
            imagePullPolicy: 'Always',
            terminationMessagePath: '/dev/termination-log',
            terminationMessagePolicy: 'File',
            resources: {},
          },
        ],
        tolerations: ['not-ready', 'unreachable'].map((trouble) => ({
          key: `node.kubernetes.io/${trouble}`,
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 300,
        })),
      },
      status: { phase: 'Pending', qosClass: 'BestEffort' },
    })
  })

  it.each([
    ['nginx', 'Always'],
    ['nginx:latest', 'Always'],
    ['nginx:1.27', 'IfNotPresent'],
    ['registry:5000/nginx', 'Always'],
    ['registry:5000/nginx:1', 'IfNotPresent'],
    [`nginx@sha256:${'a'.repeat(64)}`, 'IfNotPresent'],
  ])('pull %s %s', (image, policy) => {
    expect(containerOf({ image }).imagePullPolicy).toBe(policy)
  })

  it('keeps what was said', () => {
    const said = pod(
      {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 0,
        serviceAccountName: 'robot',
        tolerations: [{ operator: 'Exists' }],
      },
      { imagePullPolicy: 'Never' },
    )
    expect(defaulted(said).spec).toMatchObject({
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 0,
      serviceAccountName: 'robot',
      serviceAccount: 'robot',
      tolerations: [{ operator: 'Exists' }],
    })
  })

  it('fills in requests from limits, in canonical form', () => {
    const resources = { limits: { cpu: '0.5', memory: '1024Mi' }, requests: { cpu: '100m' } }
    expect(containerOf({ resources }).resources).toEqual({
      limits: { cpu: '500m', memory: '1Gi' },
      requests: { cpu: '100m', memory: '1Gi' },
    })
  })

  it('fills in probes, ports, environment and volumes', () => {
    const filled = defaulted(
      pod(
        {
          volumes: [
            { name: 'a' },
            { name: 'b', configMap: { name: 'c' } },
            { name: 'd', hostPath: { path: '/x' } },
          ],
        },
        {
          ports: [{ containerPort: 80 }],
          env: [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
          readinessProbe: { httpGet: { port: 80 } },
          livenessProbe: { tcpSocket: { port: 80 }, periodSeconds: 5 },
        },
      ),
    )
    expect(filled.spec.volumes).toEqual([
      { name: 'a', emptyDir: {} },
      { name: 'b', configMap: { name: 'c', defaultMode: 420 } },
      { name: 'd', hostPath: { path: '/x', type: '' } },
    ])
    expect(filled.spec.containers[0]).toMatchObject({
      ports: [{ containerPort: 80, protocol: 'TCP' }],
      env: [{ valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } }],
      readinessProbe: {
        httpGet: { path: '/', port: 80, scheme: 'HTTP' },
        timeoutSeconds: 1,
        periodSeconds: 10,
        successThreshold: 1,
        failureThreshold: 3,
      },
      livenessProbe: { tcpSocket: { port: 80 }, periodSeconds: 5, failureThreshold: 3 },
    })
  })

  it.each<['Guaranteed' | 'Burstable' | 'BestEffort', Container['resources']]>([
    ['BestEffort', undefined],
    ['Burstable', { requests: { cpu: '100m' } }],
    ['Burstable', { limits: { cpu: '1' } }],
    ['Burstable', { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }],
    ['Guaranteed', { limits: { cpu: '1', memory: '1Gi' } }],
    ['Guaranteed', { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m' } }],
  ])('a pod is %s with resources %j', (qosClass, resources) => {
    expect(defaulted(pod({}, resources ? { resources } : {})).status?.qosClass).toBe(qosClass)
  })
})

describe('priority', () => {
  const high = {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: meta('high', ''),
    value: 1000,
    preemptionPolicy: 'Never',
  }

  it('comes from the class', () => {
    const named = defaulted(pod({ priorityClassName: 'high' }), { objects: [high] })
    expect(named.spec).toMatchObject({ priority: 1000, preemptionPolicy: 'Never' })
    const system = defaulted(pod({ priorityClassName: 'system-node-critical' }))
    expect(system.spec.priority).toBe(2_000_001_000)
  })

  it('comes from the default class where none is named', () => {
    const objects = [{ ...high, globalDefault: true }]
    expect(defaulted(pod({}), { objects }).spec).toMatchObject({
      priorityClassName: 'high',
      priority: 1000,
    })
  })

  it('is refused when the class is not there or says another number', () => {
    expect(refusals(pod({ priorityClassName: 'none' }))).toEqual([
      'spec.priorityClassName: Forbidden: no PriorityClass with name none was found',
    ])
    expect(refusals(pod({ priority: 7 }))).toEqual([
      'spec.priority: Forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name',
    ])
  })
})
