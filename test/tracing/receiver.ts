// An OTLP receiver in the test's process, as collectors are: grpc, http/protobuf and http/json. It keeps every span that comes.
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import protobuf from 'protobufjs'

/** The part of opentelemetry/proto/collector/trace/v1 that is looked at here. */
const { root } = protobuf.parse(`syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; repeated Event events = 11;
  repeated Link links = 13; Status status = 15; }
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Link { bytes trace_id = 1; bytes span_id = 2; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
  ArrayValue array_value = 5; } }
message ArrayValue { repeated AnyValue values = 1; }`)
const Request = root.lookupType('Request')

export type Value = string | number | boolean | Value[]
export type Values = Readonly<Record<string, Value>>

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty: it has none. */
  readonly parentId: string
  readonly name: string
  /** As in OTLP: 1 internal, 2 server, 3 client. */
  readonly kind: number
  /** Unix ms. */
  readonly start: number
  readonly end: number
  readonly attributes: Values
  readonly events: readonly { readonly name: string; readonly at: number; readonly attributes: Values }[]
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly error: boolean
  /** `service.instance.id` of the process that sent it. */
  readonly from: string
}

export class Receiver {
  readonly spans: ReceivedSpan[] = []
  /** Requests by protocol. */
  readonly requests: Record<string, number> = {}
  httpPort = 0
  grpcPort = 0
  readonly #grpc = new Server()
  readonly #http = createServer((request, response) => {
    this.#take(request).then(
      (type) => response.setHeader('content-type', type).end(type === JSON_TYPE ? '{}' : ''),
      (error: Error) => response.writeHead(400).end(error.message)
    )
  })

  static async start(t: { teardown(then: () => unknown): void }): Promise<Receiver> {
    const receiver = new Receiver()
    t.teardown(() => receiver.close())
    await receiver.listen()
    return receiver
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve))
    this.httpPort = (this.#http.address() as AddressInfo).port
    const whole = (bytes: Buffer) => bytes
    this.#grpc.addService(
      {
        Export: {
          path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
          requestStream: false,
          responseStream: false,
          requestSerialize: whole,
          requestDeserialize: whole,
          responseSerialize: whole,
          responseDeserialize: whole
        }
      },
      {
        Export: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => {
          this.#add('grpc', decode(call.request))
          done(null, Buffer.alloc(0))
        }
      }
    )
    this.grpcPort = await new Promise<number>((resolve, reject) =>
      this.#grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port)
      )
    )
  }

  async #take(request: IncomingMessage): Promise<string> {
    const type = request.headers['content-type'] ?? ''
    const body = request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request
    if (type === JSON_TYPE) this.#add('http/json', JSON.parse(await text(body)))
    else this.#add('http/protobuf', decode(await buffer(body)))
    return type
  }

  #add(protocol: string, { resourceSpans }: Export): void {
    this.requests[protocol] = (this.requests[protocol] ?? 0) + 1
    for (const { resource, scopeSpans } of resourceSpans ?? []) {
      const from = String(valuesOf(resource?.attributes)['service.instance.id'] ?? '')
      for (const { spans } of scopeSpans ?? []) for (const span of spans ?? []) this.spans.push(spanOf(span, from))
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.httpPort}`
  }

  /** The spans of each trace. */
  get traces(): Map<string, ReceivedSpan[]> {
    return Map.groupBy(this.spans, ({ traceId }) => traceId)
  }

  close(): void {
    this.#http.closeAllConnections()
    this.#http.close()
    this.#grpc.forceShutdown()
  }
}

const JSON_TYPE = 'application/json'

interface Pair {
  readonly key: string
  readonly value: {
    stringValue?: string
    boolValue?: boolean
    intValue?: string | number
    doubleValue?: number
    arrayValue?: { values?: Pair['value'][] }
  }
}

interface RawSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes?: Pair[]
  readonly events?: { name: string; timeUnixNano: string; attributes?: Pair[] }[]
  readonly links?: { traceId: string; spanId: string }[]
  readonly status?: { code?: number }
}

interface Export {
  readonly resourceSpans?: {
    readonly resource?: { readonly attributes?: Pair[] }
    readonly scopeSpans?: { readonly spans?: RawSpan[] }[]
  }[]
}

/** Protobuf in the shape of OTLP's JSON: ids as hex, numbers of 64 bits as text. */
function decode(bytes: Buffer): Export {
  const hex = (id: Uint8Array) => Buffer.from(id).toString('hex')
  const plain = Request.toObject(Request.decode(bytes), { longs: String }) as Export
  for (const { scopeSpans } of plain.resourceSpans ?? []) {
    for (const { spans } of scopeSpans ?? []) {
      for (const span of spans ?? []) {
        for (const one of [span, ...(span.links ?? [])] as unknown as Record<string, Uint8Array>[]) {
          for (const key of ['traceId', 'spanId', 'parentSpanId']) {
            if (one[key]) (one as Record<string, unknown>)[key] = hex(one[key])
          }
        }
      }
    }
  }
  return plain
}

function valueIn({ stringValue, boolValue, intValue, doubleValue, arrayValue }: Pair['value']): Value {
  if (intValue !== undefined) return Number(intValue)
  if (arrayValue) return (arrayValue.values ?? []).map(valueIn)
  return stringValue ?? doubleValue ?? boolValue ?? ''
}

function valuesOf(pairs: readonly Pair[] = []): Values {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, valueIn(value)]))
}

function spanOf(span: RawSpan, from: string): ReceivedSpan {
  const ms = (nanos: string) => Number(BigInt(nanos) / 1000n) / 1000
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentSpanId ?? '',
    name: span.name,
    kind: span.kind,
    start: ms(span.startTimeUnixNano),
    end: ms(span.endTimeUnixNano),
    attributes: valuesOf(span.attributes),
    events: (span.events ?? []).map(({ name, timeUnixNano, attributes }) => ({
      name,
      at: ms(timeUnixNano),
      attributes: valuesOf(attributes)
    })),
    links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
    error: span.status?.code === 2,
    from
  }
}
