// An OpenID provider for tests: oidc-provider, which is certified, behind TLS, with people who can sign in.
//
//   node provider.mjs FOLDER    where FOLDER has the node_modules of package.json
//
// It is told what to do in lines of JSON on standard input, and answers each with a line of JSON. The first line says
// what it is made of: {certificate, key, authority, clientId, clientSecret, redirectUris, postLogoutRedirectUris,
// backchannelLogoutUri, authentication, issuerHost}; the answer says {issuer, port}. Later lines have one of
//
//   {skew: SECONDS}             its clock is so much ahead
//   {rotate: true}              it signs with another key, and no longer tells the old one
//   {disable: NAME, enable: NAME}
//   {credential: {certificate, key}}   what it shows in the next handshakes
//   {hang: true | false}        it accepts connections and answers nothing
//   {claims: {NAME: {…}}}       what it says of a person, beside what it says anyway
//
// People: ann (groups dev and ops), bob (none). Everybody's password is "password".

import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import https from 'node:https'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

// Standard output is for answers.
console.info = console.error
console.warn = console.error
console.log = console.error

const modules = createRequire(join(process.argv[2], 'package.json'))
const { Provider } = await import(pathToFileURL(modules.resolve('oidc-provider')).href)

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)
const made = JSON.parse((await lines.next()).value)

const clock = Date.now
let skew = 0
Date.now = () => clock() + skew * 1000

const disabled = new Set()
let more = {}
const people = {
  ann: { email: 'ann@example.com', email_verified: true, name: 'Ann Example', preferred_username: 'ann',
    phone_number: '+49 30 1234567', groups: ['dev', 'ops'], department: 'research', level: 3 },
  bob: { email: 'bob@example.com', email_verified: false, name: 'Bob Example', preferred_username: 'bob', groups: [] },
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomBytes(8).toString('hex') }
}

// Node's own fetch would want the authority in a file.
function fetch(url, { method, headers, body }) {
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers, ca: made.authority }, (response) => {
      response.resume().on('end', () => resolve(new Response(null, { status: response.statusCode })))
    })
    request.on('error', reject).end(body === undefined ? undefined : String(body))
  })
}

function configuration() {
  return {
    adapter: undefined,
    clients: [{
      client_id: made.clientId,
      client_secret: made.clientSecret,
      redirect_uris: made.redirectUris,
      post_logout_redirect_uris: made.postLogoutRedirectUris,
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: made.authentication ?? 'client_secret_basic',
      ...(made.backchannelLogoutUri && {
        backchannel_logout_uri: made.backchannelLogoutUri,
        backchannel_logout_session_required: true,
      }),
    }],
    clientAuthMethods: [made.authentication ?? 'client_secret_basic'],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'department', 'level'],
      phone: ['phone_number'],
      groups: ['groups'],
    },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'phone', 'groups'],
    // Claims that were asked for by scope are in the ID token too, as with most providers that people have.
    conformIdTokenClaims: made.conform ?? false,
    cookies: { keys: ['of a test'] },
    fetch,
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys: [key] },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    findAccount: (_, id) => people[id] && !disabled.has(id)
      ? { accountId: id, claims: () => ({ sub: id, ...people[id], ...more[id] }) }
      : undefined,
    // Whoever signs in has agreed to everything.
    async loadExistingGrant(ctx) {
      const { client, session, params } = ctx.oidc
      const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId })
      grant.addOIDCScope(params.scope)
      await grant.save()
      return grant
    },
  }
}

let key = signingKey()
let provider
let callback

function start() {
  provider = new Provider(issuer, configuration())
  for (const event of ['server_error', 'backchannel.error']) {
    provider.on(event, (_, error) => console.error(event, error))
  }
  const answer = provider.callback()
  callback = (request, response) => {
    const [, at, uid] = new URL(request.url, issuer).pathname.split('/')
    return at === 'interaction' && uid ? interact(request, response) : answer(request, response)
  }
}

const page = (response, text) => response.setHeader('content-type', 'text/html').end(text)

async function interact(request, response) {
  const { prompt } = await provider.interactionDetails(request, response)
  if (request.method !== 'POST') {
    const fields = prompt.name === 'login' ? '<input name="name"><input name="password" type="password">' : ''
    return page(response, `<form method="post" action="${request.url}">${fields}<button>${prompt.name}</button></form>`)
  }
  let body = ''
  for await (const chunk of request) body += chunk
  const form = new URLSearchParams(body)
  if (prompt.name === 'consent') {
    return provider.interactionFinished(request, response, { consent: {} }, { mergeWithLastSubmission: true })
  }
  const name = form.get('name')
  if (disabled.has(name)) {
    return provider.interactionFinished(request, response, {
      error: 'access_denied', error_description: '<b>This account</b> is disabled',
    })
  }
  if (!people[name] || form.get('password') !== 'password') {
    return page(response.writeHead(401), 'wrong name or password')
  }
  return provider.interactionFinished(request, response, { login: { accountId: name } })
}

let hanging = false
const server = https.createServer({ cert: made.certificate, key: made.key }, (request, response) => {
  if (hanging) return
  Promise.resolve(callback(request, response)).catch((error) => {
    console.error(error)
    if (!response.headersSent) response.writeHead(500)
    response.end()
  })
})
server.listen(made.port ?? 0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address()
const issuer = `https://${made.issuerHost ?? '127.0.0.1'}:${port}`
start()
say({ issuer, port })

for await (const line of lines) {
  const wish = JSON.parse(line)
  if ('skew' in wish) skew = wish.skew
  if (wish.rotate) {
    key = signingKey()
    start()
  }
  if (wish.disable) disabled.add(wish.disable)
  if (wish.enable) disabled.delete(wish.enable)
  if (wish.claims) more = wish.claims
  if ('hang' in wish) hanging = wish.hang
  if (wish.credential) {
    server.setSecureContext({ cert: wish.credential.certificate, key: wish.credential.key })
    say({ until: new X509Certificate(wish.credential.certificate).validTo })
  } else {
    say({})
  }
}
process.exit()
