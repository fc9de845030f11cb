/** Tokens, and the time by which they expire. */

/** A function that returns the given tokens in order, and the last one from then on. */
export function tokens(...given: string[]): { token: () => Promise<string>; asked: () => number } {
  let asked = 0;
  const token = async (): Promise<string> => given[Math.min(asked++, given.length - 1)] ?? "";
  return { token, asked: () => asked };
}

/** An unsigned JWT. */
export function jwt(expiresAt: number, number = 1): string {
  const part = (value: object): string =>
    btoa(JSON.stringify(value)).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
  return `${part({ alg: "none" })}.${part({ sub: "ÿÿÿ>>>???", jti: `${number}`, exp: expiresAt / 1000 })}.x`;
}

/** Run with a wall clock that stands still until `advance`. */
export async function withWallClock(
  run: (advance: (milliseconds: number) => void, now: () => number) => Promise<void>,
): Promise<void> {
  const real = Date.now;
  let now = 1_800_000_000_000;
  Date.now = () => now;
  try {
    await run(
      (milliseconds) => {
        now += milliseconds;
      },
      () => now,
    );
  } finally {
    Date.now = real;
  }
}
