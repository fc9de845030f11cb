import type { Decision } from "@tapewire/client";
import { useKeyed, useKeys, useTapewire } from "@tapewire/react";
import { useMemo } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { Choice } from "../../components/choice.js";
import {
  type Column,
  DataTable,
  EmptyState,
  ListState,
  PanelToolbar,
  timeColumn,
  useStoreRows,
} from "../../components/index.js";
import type { PanelProps } from "../registry.js";
import { chooseStrategy, useChosenStrategy } from "./chosen-strategy.js";
import "./decisions.css";

type Filter = "all" | "taken" | "signals";

const ACTION_WORDS: Readonly<Record<string, string>> = { buy: "Buy", sell: "Sell", hold: "Hold" };

/** What strategies decided, with their reasoning, the newest first. */
export default function DecisionsPanel({ headingId }: PanelProps) {
  const client = useTapewire();
  const terminal = useTerminal();
  const rows = useStoreRows(client.decisions);
  const ids = rows.rowKeys;
  const [filter, setFilter] = useStoredState<Filter>("decisions.filter", "all");
  const strategyId = useChosenStrategy();
  const strategyIds = useKeys(client.strategies);
  const shown = useMemo(
    () =>
      ids.filter((id) => {
        const decision = client.decisions.get(id);
        return decision !== undefined && isShown(decision, filter, strategyId);
      }),
    [client, ids, filter, strategyId],
  );

  return (
    <div className="decisions">
      <PanelToolbar label="Which decisions">
        <Choice<Filter>
          label="Shown decisions"
          name="decisions"
          value={filter}
          onChange={setFilter}
          options={[
            ["all", "All"],
            ["signals", "Buy and sell"],
            ["taken", "Acted on"],
          ]}
        />
        <select
          className="input"
          aria-label="Strategy"
          value={strategyId}
          onChange={(event) => chooseStrategy(event.target.value)}
        >
          <option value="">All strategies</option>
          {strategyIds.map((id) => (
            <option key={id} value={id}>
              {client.strategies.get(id)?.name ?? id}
            </option>
          ))}
        </select>
      </PanelToolbar>
      <DataTable<Decision>
        id="decisions"
        labelledBy={headingId}
        columns={COLUMNS}
        {...rows}
        rowKeys={shown}
        hasTallRows
        onSelect={(id) => {
          const decision = client.decisions.get(id);
          if (decision) terminal.selectSymbol(decision.symbol);
        }}
        rowAttributes={({ action, taken }) => ({
          "data-action": action,
          "data-taken": String(taken),
        })}
        empty={
          <NoDecisions
            hasAny={ids.length > 0}
            onShowAll={() => {
              setFilter("all");
              chooseStrategy("");
            }}
          />
        }
      />
    </div>
  );
}

function isShown(decision: Decision, filter: Filter, strategyId: string): boolean {
  if (strategyId !== "" && decision.strategyId !== strategyId) return false;
  return filter === "all" || (filter === "taken" ? decision.taken : decision.action !== "hold");
}

const COLUMNS: readonly Column<Decision>[] = [
  timeColumn({ minWidth: 100, grow: 0 }),
  {
    id: "decision",
    header: "Decision",
    isRowHeader: true,
    minWidth: 130,
    grow: 3,
    cell: (decision) => <DecisionCell decision={decision} />,
    sortValue: ({ symbol }) => symbol,
  },
  {
    id: "reasoning",
    header: "Reasoning",
    minWidth: 150,
    grow: 4,
    cell: ({ reasoning }) => <span className="reasoning">{reasoning}</span>,
  },
  {
    id: "confidence",
    header: "Confidence",
    align: "end",
    minWidth: 96,
    priority: 2,
    cell: (decision) => <Confidence decision={decision} />,
    sortValue: ({ confidence }) => confidence,
    firstDirection: "descending",
  },
];

function DecisionCell({ decision }: { readonly decision: Decision }) {
  const strategy = useKeyed(useTapewire().strategies, decision.strategyId);
  return (
    <span className="decision-cell">
      <span>
        <b
          data-direction={
            decision.action === "buy" ? "up" : decision.action === "sell" ? "down" : "level"
          }
        >
          {ACTION_WORDS[decision.action] ?? decision.action}
        </b>{" "}
        {decision.symbol}
      </span>
      <span className="soft">
        <span>{strategy?.name ?? "A strategy"}</span>:{" "}
        <span>{decision.taken ? "acted on it" : "did nothing"}</span>
      </span>
    </span>
  );
}

function Confidence({ decision }: { readonly decision: Decision }) {
  return <span className="num">{useTerminal().formats.share(decision.confidence)}</span>;
}

function NoDecisions({
  hasAny,
  onShowAll,
}: {
  readonly hasAny: boolean;
  readonly onShowAll: () => void;
}) {
  const client = useTapewire();
  const { openPanel } = useTerminal();
  if (hasAny)
    return (
      <EmptyState
        title="No decision matches"
        action={{ label: "Show all decisions", onPress: onShowAll }}
      />
    );
  return (
    <ListState store={client.decisions} name="decisions">
      <EmptyState
        title="No decisions yet"
        text="A running strategy says here what it decides, and why."
        action={{ label: "Show strategies", onPress: () => openPanel("strategies") }}
      />
    </ListState>
  );
}
