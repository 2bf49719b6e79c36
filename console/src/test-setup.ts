// What every test starts from: English words, and nothing left over from the test before.
import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeAll, vi } from "vitest";
import { startLanguage, withWords } from "./i18n/i18n";

// Machines that run these tests are often busy with other builds.
configure({ asyncUtilTimeout: 5_000 });

beforeAll(async () => {
  document.documentElement.lang = "en";
  await startLanguage();
  await withWords(Promise.resolve(), "asks", "pages", "people", "tenancy");
});

afterEach(async () => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  // A drawer that goes gives the focus back a moment later, which must not be in the next test.
  await new Promise((resolve) => setTimeout(resolve));
});
