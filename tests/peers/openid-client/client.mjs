// A client of our OpenID provider for tests: openid-client, which is certified, told what to do.
//
//   node client.mjs FOLDER    where FOLDER has the node_modules of ../openid-provider/package.json
//
// It is told what to do in lines of JSON on standard input, and answers each with a line of JSON: what the library gave,
// or {error: {name, code, error, description, status, challenges}} when it threw. The first line says who it is: {issuer,
// clientId, secret, authentication: basic | post | none, redirectUri}; the answer is what it has discovered. Later lines
// have one of
//
//   {authorize: {scope, …}}    where to send the person: {url}
//   {callback: URL}            what the code there gives: {tokens, claims}
//   {refresh: TOKEN}           {tokens, claims}
//   {userinfo: TOKEN, subject}
//   {revoke: TOKEN}
//   {introspect: TOKEN}
//   {exchange: {…}}            RFC 8693: {tokens}
//   {device: {scope}}          RFC 8628: {user_code, verification_uri, …}
//   {poll: true}               asks until the person has answered: {tokens, claims}
//   {logout: {…}}              where to send the person: {url}
//
// Every check of the library is on, that of the ID token's signature too.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const modules = createRequire(join(process.argv[2], 'package.json'))
const oidc = await import(pathToFileURL(modules.resolve('openid-client')).href)

const authentications = { basic: oidc.ClientSecretBasic, post: oidc.ClientSecretPost, none: oidc.None }
let made, config, began, device

async function begin() {
  const authentication = authentications[made.authentication](made.secret)
  const options = { execute: [oidc.enableNonRepudiationChecks] }
  config = await oidc.discovery(new URL(made.issuer), made.clientId, undefined, authentication, options)
  return config.serverMetadata()
}

async function challenged(more) {
  began = { verifier: oidc.randomPKCECodeVerifier(), state: oidc.randomState(), nonce: oidc.randomNonce() }
  const challenge = await oidc.calculatePKCECodeChallenge(began.verifier)
  return { code_challenge: challenge, code_challenge_method: 'S256', ...more }
}

const told = (tokens) => ({ tokens, claims: tokens.claims() })

const wishes = {
  async authorize(more) {
    const asked = await challenged(more)
    const parameters = { redirect_uri: made.redirectUri, state: began.state, nonce: began.nonce, ...asked }
    return { url: oidc.buildAuthorizationUrl(config, parameters).href }
  },
  async callback(url) {
    const checks = { pkceCodeVerifier: began.verifier, expectedState: began.state, expectedNonce: began.nonce }
    return told(await oidc.authorizationCodeGrant(config, new URL(url), { ...checks, idTokenExpected: true }))
  },
  refresh: async (token) => told(await oidc.refreshTokenGrant(config, token)),
  userinfo: (token, { subject }) => oidc.fetchUserInfo(config, token, subject),
  revoke: async (token) => ({ revoked: await oidc.tokenRevocation(config, token) }),
  introspect: (token) => oidc.tokenIntrospection(config, token),
  async exchange(parameters) {
    const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'
    return { tokens: await oidc.genericGrantRequest(config, grant, parameters) }
  },
  async device(more) {
    device = await oidc.initiateDeviceAuthorization(config, await challenged(more))
    return device
  },
  async poll() {
    return told(await oidc.pollDeviceAuthorizationGrant(config, device, { code_verifier: began.verifier }))
  },
  logout: async (parameters) => ({ url: oidc.buildEndSessionUrl(config, parameters).href }),
}

function thrown(error) {
  const { name, message, code, error: word, error_description: description, status } = error
  const challenges = name === 'WWWAuthenticateChallengeError' ? error.cause : undefined
  return { error: { name, message, code, error: word, description, status, challenges } }
}

for await (const line of createInterface({ input: process.stdin })) {
  const wish = JSON.parse(line)
  const name = Object.keys(wish).find((key) => key in wishes)
  let answer
  try {
    if (made) answer = await wishes[name](wish[name], wish)
    else {
      made = wish
      answer = await begin()
    }
  } catch (error) {
    answer = thrown(error)
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
