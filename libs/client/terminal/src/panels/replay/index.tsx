import type { ReplayOptions } from "@tapewire/client";
import { type ReplayState, useReplay } from "@tapewire/react";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { EmptyState, ErrorText, PanelToolbar } from "../../components/index.js";
import type { PanelProps } from "../registry.js";
import { Moment } from "./moment.js";
import "./replay.css";

const PERIODS = [
  ["15 minutes", 15 * 60_000],
  ["1 hour", 60 * 60_000],
  ["1 day", 24 * 60 * 60_000],
  ["7 days", 7 * 24 * 60 * 60_000],
  ["everything", null],
] as const;
const STEPS_PER_SECOND = 4;

/** Any past of the user by a time slider: orders and positions as they were, and what happened. */
export default function ReplayPanel(_props: PanelProps) {
  const [options, setOptions] = useState<ReplayOptions | null>(null);
  const replay = useReplay(options);
  return (
    <div className="replay">
      <PeriodForm onLoad={setOptions} onEnd={options && (() => setOptions(null))} />
      {options === null ? (
        <EmptyState
          title="Choose a period"
          text="The slider then goes through everything that happened to you in it."
        />
      ) : (
        <Past key={JSON.stringify(options)} replay={replay} />
      )}
    </div>
  );
}

function PeriodForm({
  onLoad,
  onEnd,
}: {
  readonly onLoad: (options: ReplayOptions) => void;
  /** Leaves the past; null while it is not shown. */
  readonly onEnd: (() => void) | null;
}) {
  const id = useId();
  const submit = useRef<HTMLButtonElement>(null);
  const [until, setUntil] = useState("");
  const [period, setPeriod] = useState("1 hour");

  function load(event: FormEvent) {
    event.preventDefault();
    const end = until === "" ? new Date() : new Date(until);
    const length = PERIODS.find(([name]) => name === period)?.[1] ?? null;
    const since = length === null ? new Date(0) : new Date(end.getTime() - length);
    onLoad({ since: since.toISOString(), until: end.toISOString() });
  }

  return (
    <form onSubmit={load}>
      <PanelToolbar label="Which period">
        <label htmlFor={`${id}-period`}>The last</label>
        <select
          id={`${id}-period`}
          className="input"
          value={period}
          onChange={({ target }) => setPeriod(target.value)}
        >
          {PERIODS.map(([name]) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <label htmlFor={`${id}-until`}>until</label>
        <input
          id={`${id}-until`}
          type="datetime-local"
          step="1"
          className="input"
          value={until}
          onChange={({ target }) => setUntil(target.value)}
          aria-describedby={`${id}-help`}
        />
        <span className="help" id={`${id}-help`}>
          empty: now
        </span>
        <button ref={submit} type="submit" className="button small primary">
          Load
        </button>
        {onEnd && (
          <button
            type="button"
            className="button small"
            onClick={() => {
              submit.current?.focus(); // this button goes away
              onEnd();
            }}
          >
            Back to live
          </button>
        )}
      </PanelToolbar>
    </form>
  );
}

function Past({ replay }: { readonly replay: ReplayState }) {
  const { status, times } = replay;
  const { formats } = useTerminal();
  const id = useId();
  const [chosen, setChosen] = useState<number | null>(null);
  const count = Math.min(chosen ?? times.length, times.length);
  const [isPlaying, setPlaying] = usePlayback(count, times.length, setChosen);
  const moment = replay.after(count);

  if (status.name === "failed")
    return <ErrorText isAlert>The past could not be loaded. {status.error.message}</ErrorText>;
  if (times.length === 0) {
    return status.name === "loading" ? (
      <EmptyState title="Loading…" />
    ) : (
      <EmptyState title="Nothing happened in this period" text="Choose a longer one." />
    );
  }
  const time = moment?.time ?? times[0] ?? null;
  const words = `${formats.dateTime(time)}, event ${formats.count(count)} of ${formats.count(times.length)}`;
  return (
    <>
      <p className="panel-note" role="status">
        {status.name === "loading"
          ? `Loading: ${formats.count(status.received)} events so far.`
          : `${formats.count(status.received)} events${status.isCut ? "; later ones were left out" : ""}.`}
      </p>
      <div className="replay-slider">
        <label htmlFor={`${id}-slider`}>Time</label>
        <input
          id={`${id}-slider`}
          type="range"
          min={0}
          max={times.length}
          value={count}
          aria-valuetext={words}
          onChange={({ target }) => {
            setPlaying(false);
            setChosen(Number(target.value));
          }}
        />
        <output htmlFor={`${id}-slider`}>{words}</output>
      </div>
      <div className="replay-buttons">
        <button
          type="button"
          className="button small"
          onClick={() => setChosen(Math.max(0, count - 1))}
        >
          One back
        </button>
        <button
          type="button"
          className="button small"
          aria-pressed={isPlaying}
          onClick={() => setPlaying(!isPlaying)}
        >
          {isPlaying ? "Pause" : "Play"}
        </button>
        <button
          type="button"
          className="button small"
          onClick={() => setChosen(Math.min(times.length, count + 1))}
        >
          One on
        </button>
      </div>
      {moment && <Moment moment={moment} replay={replay} />}
    </>
  );
}

/** Goes on by itself, some events a second, until the end. */
function usePlayback(count: number, total: number, setCount: (count: number) => void) {
  const [isPlaying, setPlaying] = useState(false);
  useEffect(() => {
    if (!isPlaying) return;
    if (count >= total) return setPlaying(false);
    const timer = setTimeout(() => setCount(count + 1), 1_000 / STEPS_PER_SECOND);
    return () => clearTimeout(timer);
  }, [isPlaying, count, total, setCount]);

  const toggle = (wanted: boolean) => {
    if (wanted && count >= total) setCount(0);
    setPlaying(wanted);
  };
  return [isPlaying, toggle] as const;
}
