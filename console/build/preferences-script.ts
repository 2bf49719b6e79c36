// Puts the preferences script into <head> as a classic, blocking script with a hashed name.
//
// It has to run before the first paint, so it cannot be a module; the content
// policy forbids it to be inline. Vite leaves classic scripts alone, hence this.
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

export function preferencesScript(file: string): Plugin {
  let building = false;
  return {
    name: "preferences-script",
    configResolved(config) {
      building = config.command === "build";
    },
    buildStart() {
      if (building) this.emitFile({ type: "asset", name: "preferences.js", source: readFileSync(file, "utf8") });
    },
    transformIndexHtml: {
      order: "post",
      handler(_html, context) {
        const emitted = Object.keys(context.bundle ?? {}).find((name) => /preferences-[\w-]+\.js$/.test(name));
        if (building && !emitted) throw new Error("the preferences script was not emitted");
        return [{ tag: "script", attrs: { src: emitted ? `/${emitted}` : "/src/preferences.js" }, injectTo: "head" }];
      },
    },
  };
}
