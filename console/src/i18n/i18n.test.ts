import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import enAsks from "./en.asks.json";
import en from "./en.json";
import enPages from "./en.pages.json";
import enPeople from "./en.people.json";
import enTenancy from "./en.tenancy.json";
import zhAsks from "./zh.asks.json";
import zh from "./zh.json";
import zhPages from "./zh.pages.json";
import zhPeople from "./zh.people.json";
import zhTenancy from "./zh.tenancy.json";

type Words = { [key: string]: string | Words };

function flat(words: Words, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(words)) {
    if (typeof value === "string") found.set(prefix + key, value);
    else for (const [inner, text] of flat(value, `${prefix}${key}.`)) found.set(inner, text);
  }
  return found;
}

/** Chinese has one plural form: `_one` has no counterpart there. */
const base = (key: string) => key.replace(/_(one|other)$/, "");
const variables = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((match) => match[1]).toSorted();

const english = flat({ ...en, ...enAsks, ...enPages, ...enPeople, ...enTenancy });
const chinese = flat({ ...zh, ...zhAsks, ...zhPages, ...zhPeople, ...zhTenancy });

test("no word is in two parts, where one would hide the other", () => {
  const names = (parts: object[]) => parts.map((part) => Object.keys(part));
  const ours = names([en, enAsks, enPages, enPeople, enTenancy]).flat();
  expect(ours.filter((name, at) => ours.indexOf(name) !== at)).toEqual([]);
  expect(names([zh, zhAsks, zhPages, zhPeople, zhTenancy])).toEqual(names([en, enAsks, enPages, enPeople, enTenancy]));
});

describe("both languages", () => {
  test("have the same keys", () => {
    const keys = (words: Map<string, string>) => [...new Set([...words.keys()].map(base))].toSorted();
    expect(keys(chinese)).toEqual(keys(english));
  });

  test("use the same variables, and say something", () => {
    for (const [key, text] of english) {
      const other = chinese.get(key) ?? chinese.get(`${base(key)}_other`) ?? "";
      expect([key, variables(other)]).toEqual([key, variables(text)]);
      expect(text.trim(), key).not.toBe("");
      expect(other.trim(), key).not.toBe("");
    }
  });

  test("are translated: Chinese is Chinese, apart from names", () => {
    const names = /^(rules\.(colon|separator)|place\.separator|product\.name|language\.en|conditionStatus\.|list\.countFiltered|.*\.version$|import\.(byKubeconfig|kubeconfig|reachableVersion)$)/;
    const left = [...chinese].filter(([key, text]) => !names.test(key) && !/\p{Script=Han}/u.test(text));
    expect(left).toEqual([]);
  });

  test("hold no ASCII punctuation between Chinese characters", () => {
    const wrong = [...chinese.values()].filter((text) => /\p{Script=Han}[,;:?!]/u.test(text));
    expect(wrong).toEqual([]);
  });
});

test("every key is used somewhere", () => {
  const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((file) => /\.tsx?$/.test(file) && !file.includes(".test."))
    .map((file) => readFileSync(join("src", file), "utf8"))
    .join("\n");
  // A key is written whole, or as a family: t(`health.${x}`).
  const families = [...sources.matchAll(/t\(\s*`((?:[\w-]+\.)+)\$\{/g)].map((match) => match[1] ?? "");
  const unused = [...english.keys()]
    .map(base)
    .filter((key) => !sources.includes(`"${key}"`) && !families.some((family) => key.startsWith(family)));
  expect(unused).toEqual([]);
});
