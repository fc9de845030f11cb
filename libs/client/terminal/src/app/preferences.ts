/** Theme, density and keys: choices of the browser, in effect before the first paint. */

import { useEffect } from "react";

import { applyDensity, type Density } from "../components/density.js";
import { readStored, useStoredState } from "./stored-state.js";

export const THEMES = ["system", "light", "dark"] as const;
export const DENSITIES: readonly Density[] = ["comfortable", "compact"];
export type Theme = (typeof THEMES)[number];

const isTheme = (value: unknown) => THEMES.includes(value as Theme);
const isDensity = (value: unknown) => DENSITIES.includes(value as Density);

function apply(theme: Theme, density: Density): void {
  const { dataset } = document.documentElement;
  if (theme === "system") delete dataset.theme;
  else dataset.theme = theme;
  applyDensity(density);
}

/** Call before the first render. */
export function applyStoredPreferences(): void {
  apply(
    readStored<Theme>("local", "theme", "system", isTheme),
    readStored<Density>("local", "density", "comfortable", isDensity),
  );
}

export function usePreferences() {
  const [theme, setTheme] = useStoredState<Theme>("theme", "system", {
    storage: "local",
    isValid: isTheme,
  });
  const [density, setDensity] = useStoredState<Density>("density", "comfortable", {
    storage: "local",
    isValid: isDensity,
  });
  const [areLettersOn, setLettersOn] = useStoredState("keys.letters", true, { storage: "local" });
  useEffect(() => apply(theme, density), [theme, density]);
  return { theme, setTheme, density, setDensity, areLettersOn, setLettersOn };
}

export type Preferences = ReturnType<typeof usePreferences>;
