// What a VM is told to do when it boots, as cloud-init, systemd, bash and Docker read it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { dockerOptions } from '#emulator/compute/netns/docker-options.ts'
import { cloudInit } from './cloud-init.ts'

interface Config {
  write_files: { path: string; permissions: string; content: string }[]
  runcmd: string[][]
}

const TEXT = cloudInit()
const config: Config = parse(TEXT)
const fileAt = (path: string): string => {
  const found = config.write_files.find((each) => each.path === path)
  if (!found) throw new Error(`no file ${path}`)
  return found.content
}
const AGENT = fileAt('/etc/wherry/agent.sh')
const UNIT = fileAt('/etc/systemd/system/wherry-agent.service')

describe('user-data', () => {
  test('is a cloud-config of modules that Container-Optimized OS has', () => {
    expect(TEXT.split('\n')[0]).toBe('#cloud-config')
    expect(Object.keys(config)).toEqual(['write_files', 'runcmd'])
    for (const { path, permissions, content } of config.write_files) {
      // Only /etc takes files at each boot, and it forgets them.
      expect(path).toMatch(/^\/etc\//)
      expect(permissions).toMatch(/^0[0-7]{3}$/)
      expect(content.endsWith('\n')).toBe(true)
    }
    expect(config.runcmd.flat().every((word) => typeof word === 'string')).toBe(true)
    // Metadata values end at 256 KB.
    expect(TEXT.length).toBeLessThan(16_000)
  })

  test('starts the unit each time, after everything that it needs is there', () => {
    expect(config.runcmd.at(-1)).toEqual([
      'systemctl',
      'start',
      '--no-block',
      'wherry-agent.service',
    ])
    // What is enabled there is forgotten at the next boot.
    expect(TEXT).not.toContain('systemctl enable')
    expect(TEXT).not.toContain('gce-container-declaration')
  })

  test('holds no secret: it is the same for every VM', () => {
    expect(cloudInit()).toBe(TEXT)
    expect(TEXT).not.toMatch(/token|password/i)
  })

  test.each(['prepare.sh', 'agent.sh'])('%s is what bash understands', (name) => {
    const { status, stderr } = spawnSync('bash', ['-n'], {
      input: fileAt(`/etc/wherry/${name}`),
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  test('Docker Engine is set up as in the emulated VMs', () => {
    const daemon: Record<string, unknown> = JSON.parse(fileAt('/etc/docker/daemon.json'))
    const flags = new Map(
      dockerOptions({ cgroup: 'c', registry: 'r' }).map((each): [string, string] => {
        const [name = '', value = 'true'] = each.replace(/^--/, '').split(/=(.*)/)
        return [name, value]
      }),
    )
    for (const name of [
      'bridge',
      'iptables',
      'ip6tables',
      'ip-masq',
      'ip-forward',
      'userland-proxy',
      'storage-driver',
      'live-restore',
    ]) {
      expect(String(daemon[name]), name).toBe(flags.get(name))
    }
    expect(daemon['exec-opts']).toEqual([flags.get('exec-opt')])
    // Google's unit gives these on its command line; twice is an error.
    expect(daemon).not.toHaveProperty('registry-mirrors')
    expect(daemon).not.toHaveProperty('hosts')
  })

  test('the agent’s container has what the agent needs of the machine', () => {
    for (const flag of ['--privileged', '--network host', '--pid host', '--cgroupns host'])
      expect(AGENT).toContain(flag)
    for (const path of ['/var/run/docker.sock', '/dev', '/lib/modules'])
      expect(AGENT).toContain(`--volume ${path}:${path}`)
    // Docker mounts volumes by the path that the agent knows.
    expect(AGENT).toContain(
      'type=bind,source=/var/lib/wherry,target=/var/lib/wherry,bind-propagation=rshared',
    )
    const env = Object.fromEntries(
      [...AGENT.matchAll(/--env (\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    )
    expect(env).toEqual({
      WHERRY_RUNTIME: 'docker',
      WHERRY_NETWORK: 'kernel',
      WHERRY_DOCKER_SOCKET: '/var/run/docker.sock',
      WHERRY_STATE_DIR: '/var/lib/wherry/agent',
    })
  })

  test('a machine that shuts down gives the agent its time, within the 30 s of a Spot VM', () => {
    expect(UNIT).toContain('After=network-online.target docker.service')
    const [, stop] = /docker stop --time (\d+)/.exec(UNIT) ?? []
    const [, limit] = /TimeoutStopSec=(\d+)/.exec(UNIT) ?? []
    expect(Number(stop)).toBeGreaterThanOrEqual(25)
    expect(Number(limit)).toBeGreaterThan(Number(stop))
    expect(Number(limit)).toBeLessThan(30)
  })
})

const systemd = spawnSync('systemd-analyze', ['--version'])

test.skipIf(systemd.status !== 0 && !process.env['CI'])('systemd takes the unit', () => {
  const dir = mkdtempSync(join(tmpdir(), 'wherry-unit-'))
  try {
    // Programs of Container-Optimized OS that this machine has elsewhere or not at all.
    const unit = UNIT.replaceAll('/usr/bin/docker', '/bin/true')
    const file = join(dir, 'wherry-agent.service')
    writeFileSync(file, unit)
    writeFileSync(join(dir, 'docker.service'), '[Service]\nExecStart=/bin/true\n')
    const { stderr, status } = spawnSync('systemd-analyze', ['verify', '--man=no', file], {
      encoding: 'utf8',
      env: { ...process.env, SYSTEMD_UNIT_PATH: `${dir}:` },
    })
    expect(stderr.split('\n').filter((line) => line.includes('wherry-agent'))).toEqual([])
    expect(status).toBe(0)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
