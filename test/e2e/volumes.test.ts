// Volumes on the whole local system, as people see them with kubectl: a database on a claim, the VM under it
// killed again and again while it is written to, and nothing left when it is deleted.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { killUnderWrites } from '../../bench/failover/database.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const KILLS = 3

let wherry: LocalWherry

beforeAll(async () => {
  wherry = await startLocalWherry({ env: { WHERRY_MACHINES: 'process' } })
}, 120_000)
afterAll(() => wherry?.dispose(), 60_000)

async function fault(name: string, target = ''): Promise<void> {
  const token = readFileSync(join(wherry.home, 'admin-token'), 'utf8').trim()
  const response = await fetch(`${wherry.ready.gcloud}/faults`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ fault: name, target }),
  })
  if (!response.ok) throw new Error(`${name}: ${await response.text()}`)
}

/** Names of all persistent disks. */
async function disks(): Promise<string[]> {
  const { gcloud, project } = wherry.ready
  const response = await fetch(`${gcloud}/compute/v1/projects/${project}/zones/us-east1-c/disks`)
  const { items = [] } = (await response.json()) as { items?: { name: string }[] }
  return items.map(({ name }) => name)
}

/** A table's rows as lists of cells. */
function cells(table: string): string[][] {
  return table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s{2,}/))
}

test('claims, volumes and classes look as on Kubernetes, and say what they wait for', async () => {
  const classes = cells(await wherry.mustKubectl('get storageclass'))
  expect(classes.map((row) => row.slice(0, -1))).toEqual([
    ['NAME', 'PROVISIONER', 'RECLAIMPOLICY', 'VOLUMEBINDINGMODE', 'ALLOWVOLUMEEXPANSION'],
    ['premium-rwo', 'pd.csi.storage.gke.io', 'Delete', 'WaitForFirstConsumer', 'true'],
    ['standard', 'kubernetes.io/gce-pd', 'Delete', 'Immediate', 'true'],
    ['standard-rwo (default)', 'pd.csi.storage.gke.io', 'Delete', 'WaitForFirstConsumer', 'true'],
  ])
  const claim = (name: string, storageClassName?: string) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '2Gi' } },
      ...(storageClassName ? { storageClassName } : {}),
    },
  })
  for (const each of [claim('later'), claim('now', 'standard')]) {
    await wherry.mustKubectl('apply -f -', { input: JSON.stringify(each) })
  }
  await wherry.mustKubectl(`wait --for=jsonpath='{.status.phase}'=Bound pvc/now --timeout=60s`)
  const described = await eventually('the events of a claim that waits', async () => {
    const text = await wherry.mustKubectl('describe pvc later')
    return text.includes('WaitForFirstConsumer') && text
  })
  expect(described).toMatch(/Status: +Pending/)
  expect(described).toMatch(
    /Normal +WaitForFirstConsumer .* persistentvolume-controller +waiting for first consumer to be created before binding/,
  )
  const now = await wherry.mustKubectl('describe pvc now')
  expect(now).toMatch(
    /Provisioning +.* External provisioner is provisioning volume for claim "default\/now"/,
  )
  expect(now).toMatch(/ProvisioningSucceeded .* Successfully provisioned volume pvc-/)
  const [, row = []] = cells(await wherry.mustKubectl('get pvc now'))
  expect([row[0], row[1], row[3], row[4], row[5]]).toEqual([
    'now',
    'Bound',
    '2Gi',
    'RWO',
    'standard',
  ])
  const [, volume = []] = cells(await wherry.mustKubectl('get pv'))
  expect(volume.slice(1, 7)).toEqual(['2Gi', 'RWO', 'Delete', 'Bound', 'default/now', 'standard'])
  expect(await disks()).toEqual([volume[0]])

  // It grows; the file system will, when a pod has it mounted.
  const larger = { spec: { resources: { requests: { storage: '3Gi' } } } }
  await wherry.mustKubectl(`patch pvc now -p '${JSON.stringify(larger)}'`)
  await wherry.mustKubectl('wait --for=condition=FileSystemResizePending pvc/now --timeout=60s')
  expect(await wherry.mustKubectl(`get pv -o jsonpath='{.items[0].spec.capacity.storage}'`)).toBe(
    '3Gi',
  )
  const smaller = { spec: { resources: { requests: { storage: '1Gi' } } } }
  const refused = await wherry.kubectl(`patch pvc now -p '${JSON.stringify(smaller)}'`)
  expect(refused.stderr).toContain(
    'spec.resources.requests.storage: Forbidden: field can not be less than status.capacity',
  )
  await wherry.mustKubectl('delete pvc later now --timeout=60s')
  await eventually('no disk', async () => (await disks()).length === 0)
}, 120_000)

test(`a database loses nothing when its VM is killed ${KILLS} times under writes`, async () => {
  const { kills, acknowledged, lost } = await killUnderWrites({ wherry, fault }, KILLS)
  expect(kills).toHaveLength(KILLS)
  expect(acknowledged).toBeGreaterThan(KILLS)
  expect(lost).toBe(0)
  // Its namespace was deleted: pod, claim, volume, attachment and disk went, in that order.
  await eventually('no volume', async () => {
    const left = await wherry.mustKubectl('get pv,volumeattachment -o name')
    return left === '' && (await disks()).length === 0
  })
}, 300_000)
