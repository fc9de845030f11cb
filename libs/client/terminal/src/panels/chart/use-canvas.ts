import type { Bar } from "@tapewire/client";
import { useEffect, useRef, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { errorMessage } from "../../components/index.js";
import type { ChartCanvas } from "./chart-canvas.js";
import type { useMarkers } from "./use-markers.js";

/** The canvas in an element, kept up to date; null until its chunk is loaded. */
export function useCanvas(bars: readonly Bar[], markers: ReturnType<typeof useMarkers>) {
  const { formats } = useTerminal();
  const element = useRef<HTMLDivElement>(null);
  const [canvas, setCanvas] = useState<ChartCanvas | null>(null);
  const [error, setError] = useState("");

  useEffect(() => {
    let isGone = false;
    let made: ChartCanvas | null = null;
    let stopFollowing = () => {};
    const words = {
      time: (seconds: number) => formats.time(new Date(seconds * 1000)),
      price: formats.price,
    };
    import("./chart-canvas.js").then(
      ({ ChartCanvas: Canvas }) => {
        if (isGone || !element.current) return;
        made = new Canvas(element.current, words);
        stopFollowing = followTheme(() => made?.applyTheme());
        setCanvas(made);
      },
      (reason: unknown) => setError(errorMessage(reason)),
    );
    return () => {
      isGone = true;
      stopFollowing();
      made?.remove();
      setCanvas(null);
    };
  }, [formats]);

  useEffect(() => canvas?.show(bars), [canvas, bars]);
  useEffect(() => {
    // Markers need the bars that they stand on.
    if (bars.length > 0) canvas?.showMarkers(markers);
  }, [canvas, markers, bars.length]);
  return { element, canvas, error };
}

/** Call `onChange` after the theme changed, by the user's choice or the system's. */
function followTheme(onChange: () => void): () => void {
  const observer = new MutationObserver(onChange);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", onChange);
  return () => {
    observer.disconnect();
    query.removeEventListener("change", onChange);
  };
}
