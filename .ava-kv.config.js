// The tests that need real stores on this machine: `npm run test:kv`, never a part of `npm test`.
export default {
  files: ['test/kv/*.kv.ts'],
  extensions: ['ts'],
  serial: true,
  timeout: '3m'
}
