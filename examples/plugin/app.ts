// A Fastify app of its own with a Seata coordinator in it.
import Fastify from 'fastify'
import seata from 'fastify-seata'

const app = Fastify({ logger: true })

// The options are those of docs/configuration.md; the coordinator listens when the app is ready.
await app.register(seata, { port: Number(process.env.SEATA_PORT ?? 8091), kv: 'sqlite:./data' })

app.get('/clients', async () => ({ connections: app.seata.health().connections }))

await app.listen({ port: Number(process.env.PORT ?? 3000) })
console.log(`Seata on port ${app.seata.address!.port}`)

process.once('SIGTERM', () => app.close())
