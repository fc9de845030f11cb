import type { Strategy } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { useCallback, useMemo, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { ConfirmDialog } from "../../components/dialogs.js";
import {
  type Column,
  DataTable,
  EmptyState,
  ListState,
  PanelToolbar,
  Quantity,
  RowButton,
  timeColumn,
  useAttempt,
  useStoreRows,
} from "../../components/index.js";
import { lazyDialog } from "../../components/lazy-dialog.js";
import { ServiceState } from "../../components/service-state.js";
import type { PanelProps } from "../registry.js";
import { StrategyActions, type StrategyCommands } from "./strategy-actions.js";
import { StrategyDetail } from "./strategy-detail.js";
import { statusWord, toneOf } from "./strategy-words.js";
import { useDemoStrategy } from "./use-demo-strategy.js";
import "./strategies.css";

const StopDialog = lazyDialog(() => import("./stop-dialog.js").then((module) => module.StopDialog));
const StrategyDialog = lazyDialog(() =>
  import("./strategy-dialog.js").then((module) => module.StrategyDialog),
);

type Asked =
  | { readonly name: "create" }
  | { readonly name: "change" | "stop" | "delete"; readonly strategy: Strategy };

/** The user's strategies: what each does now, and everything that can be done with it. */
export default function StrategiesPanel({ headingId }: PanelProps) {
  const client = useTapewire();
  const { formats, announce } = useTerminal();
  const attempt = useAttempt();
  const [selected, setSelected] = useStoredState<string | null>("strategies.selected", null);
  const [asked, setAsked] = useState<Asked | null>(null);

  const start = useCallback(
    async ({ name, strategyId }: Strategy) => {
      const isStarted = await attempt(`${name} was not started`, () =>
        client.call("POST", `/api/strategies/${encodeURIComponent(strategyId)}/start`),
      );
      if (isStarted) announce(`${name} was started.`);
    },
    [client, attempt, announce],
  );
  const commands = useMemo<StrategyCommands>(
    () => ({
      start: (strategy) => void start(strategy),
      ask: (name, strategy) => setAsked({ name, strategy }),
    }),
    [start],
  );
  const columns = useMemo(() => columnsOf(commands), [commands]);
  const close = () => setAsked(null);

  return (
    <div className="strategies">
      <PanelToolbar label="Strategies">
        <button
          type="button"
          className="button small primary"
          onClick={() => setAsked({ name: "create" })}
        >
          New strategy
        </button>
        <ServiceState service="strategies" />
      </PanelToolbar>
      <DataTable<Strategy>
        id="strategies"
        labelledBy={headingId}
        columns={columns}
        {...useStoreRows(client.strategies)}
        selectedKey={selected}
        onSelect={(id) => setSelected(id === selected ? null : id)}
        rowAttributes={({ status }) => ({ "data-status": status })}
        empty={
          <ListState store={client.strategies} name="your strategies">
            <NoStrategies onCreate={() => setAsked({ name: "create" })} />
          </ListState>
        }
      />
      {selected !== null && (
        <StrategyDetail
          strategyId={selected}
          commands={commands}
          onClose={() => setSelected(null)}
        />
      )}
      {asked?.name === "create" && <StrategyDialog strategy={null} onClose={close} />}
      {asked?.name === "change" && <StrategyDialog strategy={asked.strategy} onClose={close} />}
      {asked?.name === "stop" && <StopDialog strategy={asked.strategy} onClose={close} />}
      {asked?.name === "delete" && (
        <ConfirmDialog
          title={`Delete ${asked.strategy.name}?`}
          confirmLabel="Delete the strategy"
          cancelLabel="Keep it"
          isDangerous
          onClose={close}
          onConfirm={async () => {
            await client.call(
              "DELETE",
              `/api/strategies/${encodeURIComponent(asked.strategy.strategyId)}`,
            );
          }}
        >
          <p>Its orders, trades and decisions stay in your history. It cannot be started again.</p>
          {asked.strategy.position !== 0 && (
            <p>
              It holds {formats.quantity(asked.strategy.position)} {asked.strategy.symbol}, which
              nothing protects afterwards.
            </p>
          )}
        </ConfirmDialog>
      )}
    </div>
  );
}

function columnsOf(commands: StrategyCommands): Column<Strategy>[] {
  return [
    {
      id: "name",
      header: "Strategy",
      isRowHeader: true,
      minWidth: 120,
      grow: 2,
      cell: ({ name }) => <span title={name}>{name}</span>,
      sortValue: ({ name }) => name,
    },
    {
      id: "symbol",
      header: "Symbol",
      minWidth: 64,
      grow: 0,
      cell: ({ symbol }) => symbol,
      sortValue: ({ symbol }) => symbol,
    },
    {
      id: "status",
      header: "Status",
      minWidth: 110,
      grow: 0,
      cell: ({ status }) => (
        <span className="chip" data-tone={toneOf(status)}>
          {statusWord(status)}
        </span>
      ),
      sortValue: ({ status }) => statusWord(status),
    },
    {
      id: "position",
      header: "Holds",
      align: "end",
      minWidth: 60,
      grow: 0,
      cell: ({ position }) => <Quantity value={position} isSigned />,
      sortValue: ({ position }) => position,
      firstDirection: "descending",
    },
    {
      id: "trades",
      header: "Trades",
      align: "end",
      minWidth: 60,
      grow: 0,
      priority: 2,
      cell: ({ trades }) => <Quantity value={trades} />,
      sortValue: ({ trades }) => trades,
      firstDirection: "descending",
    },
    {
      id: "message",
      header: "What it says",
      minWidth: 140,
      grow: 3,
      priority: 3,
      cell: ({ message }) => (
        <span className="message" title={message ?? undefined}>
          {message}
        </span>
      ),
    },
    timeColumn({ header: "Changed", align: "end", minWidth: 100, priority: 4 }),
    {
      id: "actions",
      header: "",
      label: "Actions",
      align: "end",
      minWidth: 212,
      grow: 0,
      priority: 1,
      cell: (strategy) => (
        <span className="row-actions">
          <StrategyActions strategy={strategy} {...commands} Button={RowButton} />
        </span>
      ),
    },
  ];
}

function NoStrategies({ onCreate }: { readonly onCreate: () => void }) {
  const { symbol } = useTerminal();
  const demo = useDemoStrategy();
  if (symbol === null)
    return (
      <EmptyState
        title="No strategies yet"
        action={{ label: "Create a strategy", onPress: onCreate }}
      />
    );
  return (
    <EmptyState
      title="No strategies yet"
      text={`A strategy trades by a rule. The demo trades single shares of ${symbol}, as a rule within a minute.`}
      action={{
        label: demo.isPending ? "Starting…" : `Start a demo strategy on ${symbol}`,
        onPress: () => void demo.start(symbol),
      }}
    />
  );
}
