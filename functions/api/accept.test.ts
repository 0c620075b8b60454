import { describe, expect, it } from 'vitest'
import { negotiate } from './accept.ts'

const TABLE =
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'

describe('negotiate', () => {
  it.each([
    [null, { as: 'object', version: 'v1', format: 'json' }],
    ['*/*', { as: 'object', version: 'v1', format: 'json' }],
    [TABLE, { as: 'table', version: 'v1', format: 'json' }],
    [
      'application/json;as=Table;v=v1beta1;g=meta.k8s.io',
      { as: 'table', version: 'v1beta1', format: 'json' },
    ],
    [
      'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
      { as: 'partialList', version: 'v1', format: 'json' },
    ],
    [
      'application/vnd.kubernetes.protobuf,application/json',
      { as: 'object', version: 'v1', format: 'json' },
    ],
    [
      'application/json;as=Something;v=v1;g=meta.k8s.io, application/json',
      { as: 'object', version: 'v1', format: 'json' },
    ],
    ['application/yaml', { as: 'object', version: 'v1', format: 'yaml' }],
    [
      'application/json;q=0.1, application/yaml;q=0.9',
      { as: 'object', version: 'v1', format: 'yaml' },
    ],
  ])('%s', (header, shape) => {
    expect(negotiate(header)).toEqual(shape)
  })

  it('refuses what it cannot send', () => {
    expect(() => negotiate('application/vnd.kubernetes.protobuf')).toThrow(
      'only the following media types are accepted: application/json, application/yaml',
    )
    expect(() => negotiate('application/json;as=Table;v=v2;g=meta.k8s.io')).toThrow(/only the/)
  })
})
