// The tests that need Prometheus and Jaeger on this machine: `npm run test:traces`, never a part of `npm test`.
export default {
  files: ['test/traces/*.traces.ts'],
  extensions: ['ts'],
  serial: true,
  timeout: '12m'
}
