import type { Alert, AlertRule } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { useCallback, useId, useMemo, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import {
  type Column,
  DataTable,
  EmptyState,
  ListState,
  PanelToolbar,
  RowButton,
  timeColumn,
  useAttempt,
  useStoreRows,
} from "../../components/index.js";
import { lazyDialog } from "../../components/lazy-dialog.js";
import type { PanelProps } from "../registry.js";
import { describeRule, LEVEL_NAMES, type LevelName } from "./rule-words.js";
import { useDemoRule } from "./use-demo-rule.js";
import "./alerts.css";

const RuleDialog = lazyDialog(() => import("./rule-form.js").then((module) => module.RuleDialog));

/** The user's alert rules, and below them the alerts that were raised. */
export default function AlertsPanel(_props: PanelProps) {
  const [isCreating, setCreating] = useState(false);
  const rulesId = useId();
  const alertsId = useId();
  return (
    <div className="alerts">
      <PanelToolbar label="Alert rules">
        <h3 id={rulesId}>Rules</h3>
        <button type="button" className="button small primary" onClick={() => setCreating(true)}>
          New rule
        </button>
      </PanelToolbar>
      <Rules labelledBy={rulesId} />
      <h3 id={alertsId} className="alerts-title">
        Alerts
      </h3>
      <Alerts labelledBy={alertsId} />
      {isCreating && <RuleDialog onClose={() => setCreating(false)} />}
    </div>
  );
}

function Rules({ labelledBy }: { readonly labelledBy: string }) {
  const client = useTapewire();
  const { formats, symbol } = useTerminal();
  const attempt = useAttempt();
  const demo = useDemoRule();

  const act = useCallback(
    (rule: AlertRule, method: "POST" | "DELETE", suffix: string) =>
      attempt(`Not done: ${describeRule(rule, formats)}`, () =>
        client.call(method, `/api/alerts/rules/${encodeURIComponent(rule.ruleId)}${suffix}`),
      ),
    [client, formats, attempt],
  );

  const columns = useMemo<Column<AlertRule>[]>(
    () => [
      {
        id: "rule",
        header: "Rule",
        isRowHeader: true,
        minWidth: 140,
        grow: 3,
        cell: (rule) => <span className="alert-message">{describeRule(rule, formats)}</span>,
        sortValue: (rule) => describeRule(rule, formats),
      },
      {
        id: "level",
        header: "Level",
        minWidth: 122,
        grow: 0,
        priority: 2,
        cell: (rule) => <LevelChip level={rule.level} />,
        sortValue: (rule) => rule.level,
      },
      {
        id: "state",
        header: "State",
        minWidth: 84,
        cell: (rule) => (rule.armed ? "Armed" : "Triggered"),
        sortValue: (rule) => Number(rule.armed),
      },
      timeColumn({ header: "Since", align: "end", minWidth: 92, priority: 3 }),
      {
        id: "actions",
        header: "",
        label: "Actions",
        align: "end",
        minWidth: 140,
        grow: 0,
        cell: (rule) => (
          <span className="row-actions">
            {!rule.armed && (
              <RowButton
                onClick={() => void act(rule, "POST", "/arm")}
                aria-label={`Arm again: ${describeRule(rule, formats)}`}
              >
                Arm
              </RowButton>
            )}
            <RowButton
              onClick={() => void act(rule, "DELETE", "")}
              aria-label={`Delete: ${describeRule(rule, formats)}`}
            >
              Delete
            </RowButton>
          </span>
        ),
      },
    ],
    [act, formats],
  );

  return (
    <DataTable<AlertRule>
      id="alert-rules"
      labelledBy={labelledBy}
      columns={columns}
      {...useStoreRows(client.alertRules)}
      hasTallRows
      rowAttributes={(rule) => ({ "data-armed": String(rule.armed) })}
      empty={
        <ListState store={client.alertRules} name="your rules">
          <EmptyState
            title="No alert rules yet"
            text="A rule watches a price, your orders or your strategies, and raises one alert when it is met."
            action={
              symbol === null
                ? undefined
                : {
                    label: demo.isPending ? "Arming…" : `Try one that fires now on ${symbol}`,
                    onPress: () => void demo.arm(symbol),
                  }
            }
          />
        </ListState>
      }
    />
  );
}

function Alerts({ labelledBy }: { readonly labelledBy: string }) {
  const client = useTapewire();
  const { selectSymbol } = useTerminal();
  return (
    <DataTable<Alert>
      id="alerts"
      labelledBy={labelledBy}
      columns={ALERT_COLUMNS}
      {...useStoreRows(client.alerts)}
      hasTallRows
      rowAttributes={({ level }) => ({ "data-level": level })}
      onSelect={(id) => {
        const symbol = client.alerts.get(id)?.symbol;
        if (symbol != null) selectSymbol(symbol);
      }}
      empty={
        <ListState store={client.alerts} name="your alerts">
          <EmptyState
            title="No alerts yet"
            text="What a rule finds appears here, and among your notifications."
          />
        </ListState>
      }
    />
  );
}

const ALERT_COLUMNS: readonly Column<Alert>[] = [
  timeColumn({ minWidth: 100, grow: 0 }),
  {
    id: "level",
    header: "Level",
    minWidth: 122,
    grow: 0,
    cell: ({ level }) => <LevelChip level={level} />,
    sortValue: ({ level }) => level,
  },
  {
    id: "message",
    header: "Message",
    isRowHeader: true,
    minWidth: 146,
    grow: 4,
    cell: ({ message }) => <span className="alert-message">{message}</span>,
  },
];

function LevelChip({ level }: { readonly level: LevelName }) {
  const tone = level === "error" ? "bad" : level === "warning" ? "warn" : "info";
  return (
    <span className="chip" data-tone={tone}>
      {LEVEL_NAMES[level] ?? level}
    </span>
  );
}
