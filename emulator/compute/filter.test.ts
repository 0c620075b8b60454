// The list filters that Google documents, in both of its styles.

import { expect, test } from 'vitest'
import { parseFilter } from './filter.ts'

const VM = {
  name: 'gke-web-1',
  status: 'RUNNING',
  cpus: 4,
  labels: { 'wherry-cluster': 'c-1', tier: '' },
  scheduling: { automaticRestart: false },
}

test.each<[string, boolean]>([
  ['', true],
  ['name=gke-web-1', true],
  ['name = "gke-web-1"', true],
  ['name=other', false],
  ['name != other', true],
  ['name=gke-*', true],
  ['labels.wherry-cluster=c-1', true],
  ['labels.wherry-cluster=c-2', false],
  ['labels.none=x', false],
  ['labels.wherry-cluster:*', true],
  ['labels.none:*', false],
  ['name:WEB', true],
  ['name:api', false],
  ['name eq "gke-.*"', true],
  ['name eq gke', false],
  ['name ne "gke-.*"', false],
  ['(labels.wherry-cluster = "c-1") (status = "RUNNING")', true],
  ['(labels.wherry-cluster = "c-1") (status = "TERMINATED")', false],
  ['labels.wherry-cluster=c-1 AND status=RUNNING', true],
  ['status=TERMINATED OR name=gke-web-1', true],
  ['status=TERMINATED OR name=gke-web-1 AND status=STOPPING', false],
  ['NOT status=TERMINATED', true],
  ['NOT (status=RUNNING)', false],
  ['scheduling.automaticRestart = false', true],
  ['cpus > 3', true],
  ['cpus <= 3', false],
])('%s', (filter, expected) => {
  expect(parseFilter(filter)(VM)).toBe(expected)
})

test.each(['name', 'name=', '(name=a', 'name=a)', '= a', 'name eq "("', 'name ~ x'])(
  'refuses %s',
  (filter) => {
    expect(() => parseFilter(filter)).toThrow(`Invalid value for field 'filter': '${filter}'`)
  },
)
