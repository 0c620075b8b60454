// Regions, zones and machine types: read-only, the ones Google has that people ask for.
// https://cloud.google.com/compute/docs/regions-zones, …/docs/general-purpose-machines

import type { Hono } from 'hono'
import { fnv32 } from '#shared/hash.ts'
import type { Context } from './context.ts'
import { resourceNotFound } from './google-error.ts'
import { linkTo, regionOfZone } from './links.ts'
import { listOf } from './lists.ts'

const ZONE_LETTERS: Record<string, string> = {
  'asia-east1': 'abc',
  'asia-northeast1': 'abc',
  'asia-south1': 'abc',
  'asia-southeast1': 'abc',
  'australia-southeast1': 'abc',
  'europe-north1': 'abc',
  'europe-west1': 'bcd',
  'europe-west2': 'abc',
  'europe-west3': 'abc',
  'europe-west4': 'abc',
  'europe-west6': 'abc',
  'northamerica-northeast1': 'abc',
  'southamerica-east1': 'abc',
  'us-central1': 'abcf',
  'us-east1': 'bcd',
  'us-east4': 'abc',
  'us-west1': 'abc',
  'us-west2': 'abc',
}

export const REGIONS = Object.keys(ZONE_LETTERS)
export const ZONES = Object.entries(ZONE_LETTERS).flatMap(([region, letters]) =>
  Array.from(letters, (letter) => `${region}-${letter}`),
)

interface MachineType {
  guestCpus: number
  memoryMb: number
}

const MACHINE_TYPES: Record<string, MachineType> = {
  'e2-micro': { guestCpus: 2, memoryMb: 1024 },
  'e2-small': { guestCpus: 2, memoryMb: 2048 },
  'e2-medium': { guestCpus: 2, memoryMb: 4096 },
  ...family('e2-standard', [2, 4, 8, 16, 32], 4096),
  ...family('e2-highcpu', [2, 4, 8, 16, 32], 1024),
  ...family('e2-highmem', [2, 4, 8, 16], 8192),
  ...family('n1-standard', [1, 2, 4, 8, 16, 32, 64, 96], 3840),
  ...family('n2-standard', [2, 4, 8, 16, 32, 48, 64, 80], 4096),
  ...family('n2d-standard', [2, 4, 8, 16, 32, 48, 64, 80, 96], 4096),
  ...family('c3-standard', [4, 8, 22, 44, 88], 4096),
  ...family('t2d-standard', [1, 2, 4, 8, 16, 32, 48, 60], 4096),
}

function family(name: string, sizes: number[], mbPerCpu: number): Record<string, MachineType> {
  return Object.fromEntries(
    sizes.map((cpus) => [`${name}-${cpus}`, { guestCpus: cpus, memoryMb: cpus * mbPerCpu }]),
  )
}

/** Undefined when Google has no such type. */
export function machineType(name: string): MachineType | undefined {
  return MACHINE_TYPES[name]
}

/** zones, regions and machineTypes: get and list. */
export function addPlaceRoutes(app: Hono, ctx: Context): void {
  const { project } = ctx
  const showRegion = (name: string): object => ({
    kind: 'compute#region',
    id: idOf(name),
    name,
    description: name,
    status: 'UP',
    selfLink: linkTo(project, `regions/${name}`),
    zones: ZONES.filter((zone) => regionOfZone(zone) === name).map((zone) =>
      linkTo(project, `zones/${zone}`),
    ),
    quotas: quotasOf(ctx, name),
  })
  const showZone = (name: string): object => ({
    kind: 'compute#zone',
    id: idOf(name),
    name,
    description: name,
    status: 'UP',
    selfLink: linkTo(project, `zones/${name}`),
    region: linkTo(project, `regions/${regionOfZone(name)}`),
  })
  addPlaces(app, ctx, 'regions', REGIONS, showRegion)
  addPlaces(app, ctx, 'zones', ZONES, showZone)

  const showType = (zone: string, name: string, type: MachineType): object => ({
    kind: 'compute#machineType',
    id: idOf(name),
    name,
    ...type,
    zone,
    selfLink: linkTo(project, `zones/${zone}/machineTypes/${name}`),
  })
  app.get('/zones/:zone/machineTypes', (c) => {
    const zone = c.req.param('zone')
    const path = `zones/${zone}/machineTypes`
    if (!ZONES.includes(zone)) throw resourceNotFound(`projects/${project}/zones/${zone}`)
    const entries = Object.entries(MACHINE_TYPES).map(([name, type]): [string, object] => [
      `${path}/${name}`,
      showType(zone, name, type),
    ])
    return c.json(listOf('compute#machineTypeList', project, path, entries, c.req.query()))
  })
  app.get('/zones/:zone/machineTypes/:name', (c) => {
    const { zone, name } = c.req.param()
    const type = ZONES.includes(zone) ? MACHINE_TYPES[name] : undefined
    if (type) return c.json(showType(zone, name, type))
    throw resourceNotFound(`projects/${project}/zones/${zone}/machineTypes/${name}`)
  })
}

function addPlaces(
  app: Hono,
  { project }: Context,
  plural: 'regions' | 'zones',
  names: string[],
  show: (name: string) => object,
): void {
  const kind = plural === 'zones' ? 'compute#zoneList' : 'compute#regionList'
  app.get(`/${plural}`, (c) => {
    const entries = names.map((name): [string, object] => [`${plural}/${name}`, show(name)])
    return c.json(listOf(kind, project, plural, entries, c.req.query()))
  })
  app.get(`/${plural}/:name`, (c) => {
    const name = c.req.param('name')
    if (names.includes(name)) return c.json(show(name))
    throw resourceNotFound(`projects/${project}/${plural}/${name}`)
  })
}

/** Usage and limits, as far as the emulator holds to them. */
export function quotasOf(
  { state, quotas }: Context,
  region: string,
): { metric: keyof Context['quotas']; limit: number; usage: number }[] {
  const instances = Object.entries(state.instances).filter(
    ([path]) => regionOfZone(path.split('/')[1] ?? '') === region,
  )
  const cpus = instances.reduce(
    (sum, [, { machineType: link }]) =>
      sum + (machineType(link.slice(link.lastIndexOf('/') + 1))?.guestCpus ?? 0),
    0,
  )
  const addresses = Object.keys(state.addresses).filter((path) =>
    path.startsWith(`regions/${region}/`),
  )
  return [
    { metric: 'INSTANCES', limit: quotas.INSTANCES, usage: instances.length },
    { metric: 'CPUS', limit: quotas.CPUS, usage: cpus },
    { metric: 'STATIC_ADDRESSES', limit: quotas.STATIC_ADDRESSES, usage: addresses.length },
  ]
}

/** Google's ids of places are small numbers; any stable one serves. */
function idOf(name: string): string {
  return String(1000 + (fnv32(name) % 100_000))
}
