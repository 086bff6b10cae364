// What a client does over WebSocket, in Node.js as in a browser. mqtt is MQTT.js.

const sizes = [0, 1, 100, 20_000, 256 * 1024]

// exchange sends messages of all qualities and sizes to itself, through the broker, and
// resolves when all have come as they were. Without a connection it rejects.
export async function exchange(mqtt, url, topic, options) {
  const client = mqtt.connect(url, { ...options, reconnectPeriod: 0 })
  await new Promise((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
    client.once('close', () => reject(new Error('closed'))) // all that a browser tells
  })
  const came = []
  let wake = () => {}
  client.on('message', (_, payload) => { came.push(payload); wake() })
  await client.subscribeAsync(topic, { qos: 2 })
  let sent = 0
  for (const qos of [0, 1, 2]) {
    for (const size of sizes) {
      const bytes = new Uint8Array(size)
      for (let i = 0; i < size; i++) bytes[i] = (i * 31 + qos) & 255
      await client.publishAsync(topic, bytes, { qos })
      while (came.length === 0) await new Promise(resolve => { wake = resolve })
      const got = came.shift()
      if (got.length !== size || bytes.some((b, i) => got[i] !== b)) {
        throw new Error(`QoS ${qos}: ${size} bytes came as ${got.length}`)
      }
      sent++
    }
  }
  await client.endAsync()
  return sent
}
