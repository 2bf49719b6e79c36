/** What was typed one to a line, or with commas between. */
export function lines(text: string): string[] {
  return [...new Set(text.split(/[\n,]/).map((line) => line.trim()))].filter(Boolean);
}
