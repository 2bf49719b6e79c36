// Starts the simulated hub of dev/ on a free port.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function simulation() {
  const port = await freePort();
  const script = fileURLToPath(new URL("../dev/simulated-gateway.mjs", import.meta.url));
  const child = spawn(process.execPath, [script], { env: { ...process.env, SIMULATED_PORT: String(port) }, stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return { url: `http://127.0.0.1:${port}`, user: "admin@cpaas.io", password: "simulated", stop: () => child.kill() };
}
