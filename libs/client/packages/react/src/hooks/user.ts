/** Who is signed in, as far as hooks of theirs depend on it. */

import type { SessionState } from "@tapewire/client";

/** The user's id; null for nobody, undefined while that is not known. */
export function userOf(session: SessionState): string | null | undefined {
  if (session.name === "signed-in") return session.userId;
  return session.name === "signed-out" ? null : undefined;
}
