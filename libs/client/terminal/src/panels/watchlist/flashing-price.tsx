import { useLayoutEffect, useRef } from "react";

import { Price } from "../../components/index.js";

const FLASH_MS = 450;
const SWEEP_MS = 150;

/** The cells that are coloured, and until when; the one that is coloured longest is first. */
const coloured = new Map<HTMLElement, number>();
let timer: ReturnType<typeof setInterval> | undefined;

/**
 * A price whose cell is coloured for a moment when it moves, unless the user wants less motion.
 *
 * Colours go on and off, and off for many cells at once: with a transition the page would compute styles
 * and paint in every frame, which took a third of its time at 500 quotes a second.
 */
export function FlashingPrice({ price }: { readonly price: number }) {
  const cell = useRef<HTMLSpanElement>(null);
  const shown = useRef(price);
  useLayoutEffect(() => {
    const rise = price - shown.current;
    shown.current = price;
    if (rise !== 0 && cell.current) flash(cell.current, rise > 0 ? "up" : "down");
  }, [price]);
  return (
    <span ref={cell} className="flashing">
      <Price value={price} />
    </span>
  );
}

function flash(cell: HTMLElement, direction: "up" | "down"): void {
  cell.dataset.flash = direction;
  coloured.delete(cell);
  coloured.set(cell, Date.now() + FLASH_MS);
  timer ??= setInterval(sweep, SWEEP_MS);
}

function sweep(): void {
  const now = Date.now();
  for (const [cell, until] of coloured) {
    if (until > now) return;
    delete cell.dataset.flash;
    coloured.delete(cell);
  }
  clearInterval(timer);
  timer = undefined;
}
