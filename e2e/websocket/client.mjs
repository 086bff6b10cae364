// A client in Node.js: client.mjs URL TOPIC OPTIONS, the options of MQTT.js as JSON. Files
// that certFile and its like name are read. It says what came of it in one line.
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'
import { exchange } from './exchange.mjs'

const [url, topic, text] = process.argv.slice(2)
const { caFile, certFile, keyFile, ...options } = JSON.parse(text)
if (caFile) options.ca = readFileSync(caFile)
if (certFile) options.cert = readFileSync(certFile)
if (keyFile) options.key = readFileSync(keyFile)
try {
  console.log(`exchanged ${await exchange(mqtt, url, topic, options)}`)
  process.exit(0)
} catch (err) {
  console.log(`failed: ${err.code ?? ''} ${err.message}`)
  process.exit(1)
}
