// Prints what each route loads, compressed, and fails when it is more than planned.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));

const MOST = { signIn: 120_000, shell: 230_000, chunk: 180_000 };

const sizes = new Map();
function size(file) {
  if (!sizes.has(file)) sizes.set(file, gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length);
  return sizes.get(file);
}

/** The scripts and style sheets that a module needs before it can run. */
function closure(key, files = new Set()) {
  const chunk = manifest[key];
  if (!chunk) throw new Error(`the build has no ${key}`);
  files.add(chunk.file);
  for (const style of chunk.css ?? []) files.add(style);
  for (const next of chunk.imports ?? []) closure(next, files);
  return files;
}

const total = (files) => [...files].reduce((sum, file) => sum + size(file), 0);
const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
// The larger of the two languages is what somebody loads.
const larger = (keys) => keys.map((key) => closure(key)).reduce((a, b) => (total(a) > total(b) ? a : b));
const language = larger(["src/i18n/en.json", "src/i18n/zh.json"]);
const pages = larger(["src/i18n/en.pages.json", "src/i18n/zh.pages.json"]);
const preferences = readFileSync(new URL("index.html", dist), "utf8").match(/src="\/(assets\/preferences-[^"]+)"/)?.[1];

const signIn = new Set([...closure(entry), ...language, preferences]);
const shell = closure("src/shell/shell.tsx", new Set([...signIn, ...pages]));

const lines = [
  ["sign-in", total(signIn), MOST.signIn],
  ["shell and cluster list", total(shell), MOST.shell],
  ...[...sizes].filter(([file]) => file.endsWith(".js")).map(([file, bytes]) => [`  ${file}`, bytes, MOST.chunk]),
];
let over = false;
for (const [name, bytes, most] of lines) {
  const bad = bytes > most;
  over ||= bad;
  console.log(`${name.padEnd(44)} ${(bytes / 1000).toFixed(1).padStart(7)} kB gz of ${most / 1000}${bad ? "  OVER BUDGET" : ""}`);
}
if (over) process.exit(1);
