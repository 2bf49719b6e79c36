// The official JavaScript client, as its users use it. Each function is a story of its own; what is wrong is thrown.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'

import * as k8s from '@kubernetes/client-node'

const NAMESPACE = 'javascript'
const namespace = NAMESPACE
const PATIENCE = 60_000

const config = new k8s.KubeConfig()
config.loadFromDefault()
const core = config.makeApiClient(k8s.CoreV1Api)

async function refused(code, call) {
  const refusal = await call.then(
    () => assert.fail('it was not refused'),
    (error) => error,
  )
  assert.equal(refusal.code, code, refusal)
  return refusal
}

async function eventually(what, ask) {
  for (const until = Date.now() + PATIENCE; Date.now() < until; await pause(50)) {
    const answer = await ask()
    if (answer) return answer
  }
  assert.fail(`waited ${PATIENCE} ms for ${what}`)
}

const configMap = (name, data, labels) => ({ metadata: { name, labels }, data })

async function objects() {
  const body = configMap('a', { k: 'v' }, { part: 'objects' })
  const made = await core.createNamespacedConfigMap({ namespace, body })
  assert.ok(made.metadata.creationTimestamp instanceof Date)
  await refused(409, core.createNamespacedConfigMap({ namespace, body }))
  const read = await core.readNamespacedConfigMap({ namespace, name: 'a' })
  assert.deepEqual(read, made)
  const changed = { ...read, data: { k: 'w' } }
  const replaced = await core.replaceNamespacedConfigMap({ namespace, name: 'a', body: changed })
  assert.deepEqual(replaced.data, { k: 'w' })
  await refused(409, core.replaceNamespacedConfigMap({ namespace, name: 'a', body: changed }))
  const list = await core.listNamespacedConfigMap({ namespace, labelSelector: 'part=objects', limit: 10 })
  assert.deepEqual(list.items.map((item) => item.metadata.name), ['a'])
  const deleted = await core.deleteNamespacedConfigMap({ namespace, name: 'a' })
  assert.equal(deleted.status, 'Success')
  await refused(404, core.readNamespacedConfigMap({ namespace, name: 'a' }))
}

async function patches() {
  await core.createNamespacedConfigMap({ namespace, body: configMap('p', { a: '1', b: '2' }) })
  const patch = async (kind, body, options = {}) => {
    const header = k8s.setHeaderOptions('Content-Type', kind)
    return (await core.patchNamespacedConfigMap({ namespace, name: 'p', body, ...options }, header)).data
  }
  assert.deepEqual(await patch(k8s.PatchStrategy.MergePatch, { data: { a: null, c: '3' } }), { b: '2', c: '3' })
  assert.deepEqual(await patch(k8s.PatchStrategy.StrategicMergePatch, { data: { b: '4' } }), { b: '4', c: '3' })
  const remove = [{ op: 'remove', path: '/data/b' }]
  assert.deepEqual(await patch(k8s.PatchStrategy.JsonPatch, remove), { c: '3' })
  const apply = (mine) => ({ apiVersion: 'v1', kind: 'ConfigMap', ...configMap('p', { mine }) })
  const applied = await patch(k8s.PatchStrategy.ServerSideApply, apply('1'), { fieldManager: 'me' })
  assert.deepEqual(applied, { c: '3', mine: '1' })
  const conflict = await refused(409, patch(k8s.PatchStrategy.ServerSideApply, apply('2'), { fieldManager: 'you' }))
  assert.match(conflict.body, /conflict with \\?"me\\?"/)
  const options = { fieldManager: 'you', force: true }
  assert.equal((await patch(k8s.PatchStrategy.ServerSideApply, apply('2'), options)).mine, '2')
}

/** The client for whatever kind a document has. */
async function documents() {
  const objects = k8s.KubernetesObjectApi.makeApiClient(config)
  const [crd, deployment] = k8s.loadAllYaml(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: hats.javascript.example.com}
spec:
  group: javascript.example.com
  scope: Namespaced
  names: {plural: hats, singular: hat, kind: Hat}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {size: {type: integer}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ${NAMESPACE}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:1", ports: [{containerPort: 80}]}]}
`)
  await objects.create(crd)
  await objects.create(deployment)
  const place = { group: 'javascript.example.com', version: 'v1', namespace, plural: 'hats' }
  const custom = config.makeApiClient(k8s.CustomObjectsApi)
  await eventually('the custom resource to be served', () =>
    custom.listNamespacedCustomObject(place).then(
      () => true,
      (error) => assert.equal(error.code, 404),
    ),
  )
  const hat = { apiVersion: 'javascript.example.com/v1', kind: 'Hat', metadata: { name: 'top', namespace } }
  await objects.create({ ...hat, spec: { size: 3 } })
  const applied = await objects.patch(
    { ...hat, spec: { size: 4 } },
    undefined,
    undefined,
    'me',
    true,
    k8s.PatchStrategy.ServerSideApply,
  )
  assert.equal(applied.spec.size, 4)
  assert.equal((await custom.getNamespacedCustomObject({ ...place, name: 'top' })).spec.size, 4)
  await refused(422, objects.patch({ ...hat, spec: { size: 'big' } }, undefined, undefined, 'me', undefined, k8s.PatchStrategy.MergePatch))
  const apps = config.makeApiClient(k8s.AppsV1Api)
  await eventually('the deployment to be ready', async () => {
    const { status } = await apps.readNamespacedDeploymentStatus({ namespace, name: 'web' })
    return status.readyReplicas === 2
  })
}

async function watches() {
  const { metadata } = await core.listNamespacedConfigMap({ namespace })
  const seen = []
  const { promise, resolve, reject } = resolvers()
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`
  const query = { resourceVersion: metadata.resourceVersion, fieldSelector: 'metadata.name=w' }
  const watch = await new k8s.Watch(config).watch(
    path,
    query,
    (type, object) => {
      seen.push([type, object.data.n])
      if (type === 'DELETED') resolve()
    },
    (error) => reject(error ?? new Error('the watch ended')),
  )
  await core.createNamespacedConfigMap({ namespace, body: configMap('w', { n: '0' }) })
  const body = [{ op: 'replace', path: '/data/n', value: '1' }]
  await core.patchNamespacedConfigMap({ namespace, name: 'w', body })
  await core.deleteNamespacedConfigMap({ namespace, name: 'w' })
  await promise
  watch.abort()
  assert.deepEqual(seen, [['ADDED', '0'], ['MODIFIED', '1'], ['DELETED', '1']])
}

function resolvers() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

async function informers() {
  const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'part=informers' })
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`
  const informer = k8s.makeInformer(config, path, list, 'part=informers')
  const seen = []
  for (const verb of ['add', 'update', 'delete']) {
    informer.on(verb, (object) => seen.push(`${verb} ${object.metadata.name}`))
  }
  informer.on('error', (error) => seen.push(`error ${error}`))
  const create = (name) => core.createNamespacedConfigMap({ namespace, body: configMap(name, {}, { part: 'informers' }) })
  await create('early')
  await informer.start()
  await create('late')
  await core.deleteNamespacedConfigMap({ namespace, name: 'early' })
  await eventually('all changes', () => seen.length >= 3)
  assert.deepEqual(seen, ['add early', 'add late', 'delete early'])
  assert.deepEqual(informer.list().map((object) => object.metadata.name), ['late'])
  await informer.stop()
}

async function pods() {
  const { items } = await core.listNamespacedPod({ namespace, labelSelector: 'app=web' })
  const pod = items[0].metadata.name
  assert.match(await core.readNamespacedPodLog({ namespace, name: pod }), /simulated/)
  const log = new PassThrough()
  const following = await new k8s.Log(config).log(NAMESPACE, pod, 'web', log, { follow: true })
  assert.match((await once(log, 'data')).toString(), /simulated/)
  following.abort()

  const run = async (command, input) => {
    const [out, err] = [new PassThrough(), new PassThrough()]
    const { promise, resolve } = resolvers()
    await new k8s.Exec(config).exec(NAMESPACE, pod, 'web', command, out, err, input ?? null, false, resolve)
    const status = await promise
    return { out: String(out.read() ?? ''), err: String(err.read() ?? ''), status }
  }
  const failed = await run(['sh', '-c', 'echo to-out; echo to-err >&2; exit 3'])
  assert.deepEqual([failed.out, failed.err], ['to-out\n', 'to-err\n'])
  assert.equal(failed.status.details.causes.find((cause) => cause.reason === 'ExitCode').message, '3')
  const input = new PassThrough()
  input.end('through\n')
  const copied = await run(['cat'], input)
  assert.deepEqual([copied.out, copied.status.status], ['through\n', 'Success'])

  const forward = new k8s.PortForward(config)
  const server = net.createServer((socket) => forward.portForward(NAMESPACE, pod, [80], socket, null, socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/page`, { headers: { connection: 'close' } })
  assert.equal(answer.status, 200)
  assert.match(await answer.text(), /GET \/page/)
  server.close()
}

await core.createNamespace({ body: { metadata: { name: NAMESPACE } } })
for (const story of [objects, patches, documents, watches, informers, pods]) {
  const started = Date.now()
  await story()
  console.log(`${story.name} ${(Date.now() - started) / 1000} s`)
}
process.exit(0)
