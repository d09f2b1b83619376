// The tests that need Prometheus and Jaeger on this machine: `npm run test:traces`, never a part of `npm test`.
export default {
  files: ['test/traces/*.traces.ts'],
  extensions: ['ts'],
  serial: true,
  // Where Jaeger is built by the test, that takes minutes.
  timeout: process.env.JAEGER === 'none' ? '3m' : '12m'
}
