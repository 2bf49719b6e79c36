// The platform's rules for passwords, as far as a page can check them. The server knows the rest: history, for one.

export const PASSWORD_RULES = ["length", "letter", "digit", "special"] as const;
export type PasswordRule = (typeof PASSWORD_RULES)[number];

const SPECIAL = /[~!@#$%^&*() \-_=+?]/;

export function unmetRules(password: string): PasswordRule[] {
  const met: Record<PasswordRule, boolean> = {
    length: password.length >= 8 && password.length <= 32,
    letter: /[A-Za-z]/.test(password),
    digit: /\d/.test(password),
    special: SPECIAL.test(password),
  };
  return PASSWORD_RULES.filter((rule) => !met[rule]);
}
