// A service that knows users, in the contracts that the proxy can ask in, on a
// port of loopback that the kernel picks. It writes its address, and a line for
// each question. Passwords are SECRET-NAME; tokens are signed with SECRET in HS256.
//
//   node auth.mjs [CERT KEY]
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as plain } from 'node:http';
import { createServer as secure } from 'node:https';

const secret = process.env.SECRET;
const users = new Set(['alice', 'bob', 'carol']);

const equal = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
const right = (q) => users.has(q.username) && equal(q.password, `${secret}-${q.username}`);

function signed(token) {
  const [header, payload, signature] = token.split('.');
  const want = createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url');
  return equal(signature ?? '', want) && users.has(JSON.parse(Buffer.from(payload, 'base64url')).sub);
}

const contracts = {
  // EMQX's HTTP authenticator, which asks with a token of its own.
  '/emqx': (q, request) => {
    if (request.headers.authorization !== `Bearer ${secret}-proxy`) return [401];
    if (!users.has(q.username)) return [200, { result: 'ignore' }];
    if (!right(q)) return [200, { result: 'deny' }];
    const more = {
      alice: { is_superuser: true, client_attrs: { site: 'berlin' } },
      bob: { client_attrs: { site: 'paris' }, acl: [
        { permission: 'allow', action: 'all', topic: 'site/${client_attrs.site}/#' },
        { permission: 'deny', action: 'all', topic: '#' },
      ] },
      carol: { expire_at: Math.floor(Date.now() / 1000) + 3 },
    };
    return [200, { result: 'allow', ...more[q.username] }];
  },

  // VerneMQ's webhooks. The answers about bob may not be remembered.
  '/vernemq': (q, request) => {
    const hook = request.headers['vernemq-hook'];
    const clean = { auth_on_register: q.clean_session, auth_on_register_m5: q.clean_start }[hook];
    if (clean !== true || q.mountpoint !== '' || q.peer_addr !== '127.0.0.1') return [400];
    const age = q.username === 'bob' ? 'no-store' : 'max-age=3600';
    if (!users.has(q.username)) return [200, { result: 'next' }];
    if (!right(q)) return [200, { result: { error: 'not_allowed' } }];
    if (q.username === 'carol') return [200, { result: 'ok', modifiers: { client_id: 'other', mountpoint: '' } }];
    return [200, { result: 'ok', modifiers: { max_inflight_messages: 10 } }, { 'Cache-Control': age }];
  },

  // mosquitto-go-auth's backends http and, with a remote service, jwt.
  '/go-auth/user': (q) => (right(q) ? [200, { Ok: true, Error: '' }] : [200, { Ok: false, Error: 'no' }]),
  '/go-auth/jwt': (_q, request) => [signed(request.headers.authorization.replace('Bearer ', '')) ? 200 : 403],

  // Services that are out of order.
  '/silent': () => [],
  '/html': () => [200, '<!doctype html><title>Welcome</title>ok'],
  '/broken': () => [500, { result: 'allow' }],
};

async function answer(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const form = request.headers['content-type'] === 'application/x-www-form-urlencoded';
  const question = form ? Object.fromEntries(new URLSearchParams(body)) : JSON.parse(body);
  console.log('asked', request.url, question.username, request.headers['vernemq-hook'] ?? '');
  const [status, reply, headers] = contracts[request.url]?.(question, request) ?? [404];
  if (!status) return;
  const html = typeof reply === 'string';
  response.writeHead(status, { 'Content-Type': html ? 'text/html' : 'application/json', ...headers });
  response.end(html ? reply : JSON.stringify(reply));
}

const [cert, key] = process.argv.slice(2);
const server = cert ? secure({ cert: readFileSync(cert), key: readFileSync(key) }, answer) : plain(answer);
server.listen(0, '127.0.0.1', () => {
  console.log(`listening at ${cert ? 'https' : 'http'}://127.0.0.1:${server.address().port}`);
});
