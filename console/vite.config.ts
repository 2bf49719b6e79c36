/// <reference types="vitest/config" />
import { fileURLToPath } from "node:url";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { preferencesScript } from "./build/preferences-script.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

const SIGN_IN =
  /src\/(session\/(layout|problem|attempt|countdown|address|fleet-drawing|tabs)|ui\/(button|field|message|password-input)|lib\/(clock|elapsed|preferences|safe-path|safe-url)|api\/(http|status|identity)|shell\/mark)\.tsx?$/;

export default defineConfig({
  plugins: [react(), tailwind(), preferencesScript(path("./src/preferences.js"))],
  resolve: {
    alias: {
      // The real package injects <style> elements, which `style-src 'self'` refuses.
      "react-remove-scroll": path("./src/ui/scroll-lock.tsx"),
    },
  },
  build: {
    target: "es2022",
    manifest: true,
    // A data: URL would need a wider policy for fonts than 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // What sign-in loads in any case is one file: a dozen small ones compress worse, and name each other.
          groups: [{ name: "sign-in", test: SIGN_IN }],
        },
      },
    },
  },
  server: {
    // `npm run simulate` listens there; point it at a real hub with ACP_URL.
    proxy: Object.fromEntries(
      ["/acp", "/auth", "/kubernetes", "/platform"].map((prefix) => [
        prefix,
        { target: process.env.ACP_URL ?? "http://127.0.0.1:4480", secure: false, changeOrigin: true },
      ]),
    ),
  },
  test: {
    environment: "happy-dom",
    testTimeout: 20_000,
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["./src/test-setup.ts"],
    server: { deps: { inline: [/@radix-ui/, /radix-ui/] } },
  },
});
