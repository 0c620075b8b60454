import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', 'dist/**', '.wherry/**'],
    globalSetup: './test/google-emulators.ts',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/plain-reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
  },
})
