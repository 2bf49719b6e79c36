// The platform's rules for passwords, as far as a page can check them. The server knows the rest: history, for one.

export const PASSWORD_RULES = ["length", "letter", "digit", "special"] as const;
export type PasswordRule = (typeof PASSWORD_RULES)[number];

/** How many characters a password has. */
export interface PasswordLengths {
  least: number;
  most: number;
}

/** No policy allows less or more. What it asks for within them is not told to everybody. */
export const LENGTH_BOUNDS: PasswordLengths = { least: 8, most: 256 };

const SPECIAL = /[~!@#$%^&*() \-_=+?]/;

export function unmetRules(password: string, { least, most }: PasswordLengths): PasswordRule[] {
  // As people count: one of 𠮷 is one.
  const length = [...password].length;
  const met: Record<PasswordRule, boolean> = {
    length: length >= least && length <= most,
    letter: /\p{Alphabetic}/u.test(password),
    digit: /[0-9]/.test(password),
    special: SPECIAL.test(password),
  };
  return PASSWORD_RULES.filter((rule) => !met[rule]);
}
