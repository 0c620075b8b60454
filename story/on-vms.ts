// Acts 1 and 2: the mushroom app as `docker run` would put it on VMs, with nobody but people to look
// after it. Act 1: three containers in one VM. Act 2: three VMs, each API has a backup on another one.

import { join } from 'node:path'
import { freePort } from '#agent/network/free-port.ts'
import { REACTIONS } from './assumptions.ts'
import { bootPlainVm, type PlainVm } from './plain-machines.ts'
import type { PlainContainer } from './plain-vm-wire.ts'
import { react, underLoad, type Stage } from './stage.ts'
import type { Act, VmLayout } from './story.ts'

const MACHINES = 'a VM is a process group on this machine, a container a process of its image'
const API_KEY = 'chanterelles-in-october'

/** Where a container listens on this machine. */
interface VmSite {
  vm: PlainVm
  port: number
  url: string
}

/** Promises ports, never one twice. */
const taken = new Set<number>()

async function siteOn(vm: PlainVm): Promise<VmSite> {
  const port = await freePort(taken)
  taken.add(port)
  return { vm, port, url: `http://127.0.0.1:${port}` }
}

/** A VM that ends with the story. */
async function boot(stage: Stage, name: string, act: string): Promise<PlainVm> {
  const vm = await bootPlainVm(name, join(stage.folder, `${act}-${name}.log`))
  stage.onEnd(() => vm.cutPower())
  return vm
}

function containerOf(
  app: 'frontend' | 'model-api' | 'catalog-api',
  { vm, port }: VmSite,
  env: Record<string, string> = {},
): PlainContainer {
  return {
    name: app,
    image: `wherry/mushroom-${app}:1.0`,
    env: {
      ...env,
      HOST: '127.0.0.1',
      PORT: String(port),
      HOSTNAME: `${vm.name}/${app}`,
      API_KEY,
    },
  }
}

export async function oneVm(stage: Stage): Promise<Act> {
  const name = 'one-vm'
  const vm = await boot(stage, 'vm-1', name)
  const site = await siteOn(vm)
  const [model, catalog] = [await siteOn(vm), await siteOn(vm)]
  await vm.run(containerOf('model-api', model))
  await vm.run(containerOf('catalog-api', catalog))
  const apis = { MODEL_API_URL: model.url, CATALOG_API_URL: catalog.url }
  await vm.run(containerOf('frontend', site, apis))
  const transcript: Act['transcript'] = []
  const act = await underLoad(stage, { name, site }, async (book) => {
    await book.breaks({ what: 'The container of model-api is killed', breaks: 'container' }, () =>
      vm.killContainer('model-api'),
    )
    const [called, answered, mended] = REACTIONS[name]
    await react(stage, book, called)
    await react(stage, book, answered)
    transcript.push(await listing(vm))
    await react(stage, book, mended, 'docker start model-api')
    await vm.start('model-api')
  })
  const layout = [
    layoutOf(vm, [
      { name: 'frontend' },
      { name: 'model-api', isKilled: true },
      { name: 'catalog-api' },
    ]),
  ]
  return { ...act, machines: MACHINES, layout, transcript }
}

export async function threeVms(stage: Stage): Promise<Act> {
  const name = 'three-vms'
  const [first, second, third] = await Promise.all([
    boot(stage, 'vm-1', name),
    boot(stage, 'vm-2', name),
    boot(stage, 'vm-3', name),
  ])
  const site = await siteOn(first)
  const [model, modelBackup] = [await siteOn(second), await siteOn(third)]
  const [catalog, catalogBackup] = [await siteOn(third), await siteOn(second)]
  for (const api of [model, modelBackup]) await api.vm.run(containerOf('model-api', api))
  for (const api of [catalog, catalogBackup]) await api.vm.run(containerOf('catalog-api', api))
  const frontendWith = (modelApi: VmSite): PlainContainer =>
    containerOf('frontend', site, { MODEL_API_URL: modelApi.url, CATALOG_API_URL: catalog.url })
  await first.run(frontendWith(model))
  const transcript: Act['transcript'] = []
  const act = await underLoad(stage, { name, site }, async (book) => {
    await book.breaks({ what: 'The power of vm-2 fails: model-api is gone', breaks: 'vm' }, () =>
      second.cutPower(),
    )
    const [noticed, switched] = REACTIONS[name]
    await react(stage, book, noticed)
    await react(stage, book, switched, 'docker run --env MODEL_API_URL=http://vm-3:8080 … frontend')
    await first.run(frontendWith(modelBackup))
    transcript.push(await listing(first), await listing(third))
  })
  const backup = (api: string): Container => ({ name: api, isBackup: true })
  const layout = [
    layoutOf(first, [{ name: 'frontend' }]),
    layoutOf(second, [{ name: 'model-api' }, backup('catalog-api')], { isLost: true }),
    layoutOf(third, [{ name: 'catalog-api' }, backup('model-api')]),
  ]
  return { ...act, machines: MACHINES, layout, transcript }
}

type Container = { name: string; isBackup?: boolean; isKilled?: boolean }

function layoutOf(vm: PlainVm, containers: Container[], { isLost = false } = {}): VmLayout {
  return {
    name: vm.name,
    isLost,
    containers: containers.map((one) => ({ isBackup: false, isKilled: false, ...one })),
  }
}

/** What the VM says of its containers. */
async function listing(vm: PlainVm): Promise<Act['transcript'][number]> {
  const containers = await vm.list()
  const output = containers
    .map(({ name, exitCode }) => `${name.padEnd(14)}${stateOf(exitCode)}`)
    .join('\n')
  return { command: `${vm.name}: docker ps --all`, output }
}

function stateOf(exitCode: number | undefined): string {
  return exitCode === undefined ? 'Up' : `Exited (${exitCode})`
}
