// The memory driver keeps the contract.

import { httpBalancersContract } from '#test/contract/http-balancers.ts'
import { createMemoryHttpBalancers } from './memory-http-balancers.ts'

httpBalancersContract('memory', async () => {
  const endpoint = (port: number) => ({ instance: 'vm-1', ip: '10.4.0.2', port })
  return {
    balancers: createMemoryHttpBalancers(),
    zone: 'us-east1-c',
    endpoints: [endpoint(1), endpoint(2), endpoint(3)],
    close: async () => {},
  }
})
