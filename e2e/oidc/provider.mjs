// An OpenID provider on a port of loopback that the kernel picks. It writes its
// address, and then answers as oauth2-mock-server does:
//
//   POST /token       a token with the claims in the form's field claims (JSON);
//                     with opaque=1 one that says nothing by itself
//   POST /introspect  about tokens of this run, to who logs in as proxy
//   POST /revoke      the token in the form
//   POST /rotate      puts one more key into the set
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

const login = 'Basic ' + Buffer.from('proxy:' + process.env.PROXY_SECRET).toString('base64');
const issuer = new OAuth2Issuer();
const service = new OAuth2Service(issuer);
const active = new Map(); // token to claims
let claims;

await issuer.keys.generate('RS256', { kid: 'key-1' });

service.on('beforeTokenSigning', (token, request) => {
  claims = Object.assign(token.payload, JSON.parse(request.body.claims ?? '{}'));
});
service.on('beforeResponse', (response, request) => {
  if (request.body.opaque) response.body.access_token = randomUUID();
  active.set(response.body.access_token, claims);
});
service.on('beforeRevoke', (_response, request) => active.delete(request.body.token));
service.on('beforeIntrospect', (response, request) => {
  if (request.headers.authorization !== login) response.statusCode = 401;
  const known = active.get(request.body.token);
  response.body = known ? { active: true, ...known } : { active: false };
});

const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  if (request.method === 'POST') request.body = Object.fromEntries(new URLSearchParams(body));
  if (request.url === '/rotate') {
    await issuer.keys.generate('ES256', { kid: 'key-' + (issuer.keys.toJSON().length + 1) });
    response.end();
    return;
  }
  service.requestHandler(request, response);
});
server.listen(0, '127.0.0.1', () => {
  issuer.url = `http://127.0.0.1:${server.address().port}`;
  console.log('listening at', issuer.url);
});
