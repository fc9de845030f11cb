import type { Order } from "@tapewire/client";
import { useKeyed, useReadable, useTapewire } from "@tapewire/react";
import { type KeyboardEvent, useCallback, useMemo, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import { Choice } from "../../components/choice.js";
import {
  type Column,
  DataTable,
  EmptyState,
  errorMessage,
  ListState,
  PanelToolbar,
  RowButton,
  timeColumn,
  useAttempt,
  useStoreRows,
} from "../../components/index.js";
import { lazyDialog } from "../../components/lazy-dialog.js";
import { useKeyCommand } from "../../keys/commands.js";
import type { PanelProps } from "../registry.js";
import { OrderDetail } from "./order-detail.js";
import {
  describeOrder,
  describeTerms,
  explainOrder,
  isOpen,
  isWorking,
  sideWord,
  statusWord,
  toneOf,
} from "./order-words.js";
import "./blotter.css";

const ReplaceDialog = lazyDialog(() =>
  import("./replace-dialog.js").then((module) => module.ReplaceDialog),
);

type Filter = "open" | "all";

/** The orders of the user, the newest first: open ones or all, with cancel and change. */
export default function BlotterPanel({ headingId }: PanelProps) {
  const client = useTapewire();
  const { formats, announce } = useTerminal();
  const attempt = useAttempt();
  const rows = useStoreRows(client.orders);
  const ids = rows.rowKeys;
  const [filter, setFilter] = useStoredState<Filter>("blotter.filter", "all");
  const [selected, setSelected] = useStoredState<string | null>("blotter.selected", null);
  const [changing, setChanging] = useState<Order | null>(null);
  const openIds = useReadable(client.openOrderIds);
  const hasMore = useReadable(client.orders.hasMore);

  const cancel = useCallback(
    async (order: Order) => {
      const isSent = await attempt(`Not canceled: ${describeOrder(order, formats)}`, () =>
        client.call("DELETE", `/api/orders/${encodeURIComponent(order.orderId)}`),
      );
      if (isSent) announce(`Canceling: ${describeOrder(order, formats)}`);
    },
    [client, attempt, announce, formats],
  );

  useKeyCommand("cancel-order", () => {
    const order = selected === null ? undefined : client.orders.get(selected);
    if (!order || !isOpen(order)) return false;
    void cancel(order);
    return undefined;
  });

  const columns = useMemo(() => columnsOf(formats, cancel, setChanging), [formats, cancel]);

  function handleRowKey(id: string, event: KeyboardEvent): boolean {
    const order = client.orders.get(id);
    if (!order || !isOpen(order) || event.altKey || event.ctrlKey || event.metaKey) return false;
    if (event.key === "x" || event.key === "Delete") void cancel(order);
    else if (event.key === "e" && isWorking(order)) setChanging(order);
    else return false;
    return true;
  }

  return (
    <div className="blotter">
      <PanelToolbar label="Which orders">
        <Choice<Filter>
          label="Shown orders"
          name="orders"
          value={filter}
          onChange={setFilter}
          options={[
            ["all", `All ${formats.count(ids.length)}${hasMore ? "+" : ""}`],
            ["open", `Open ${formats.count(openIds.length)}`],
          ]}
        />
        {openIds.length > 1 && <CancelAll ids={openIds} />}
      </PanelToolbar>
      <DataTable<Order>
        id="blotter"
        labelledBy={headingId}
        columns={columns}
        {...rows}
        rowKeys={filter === "open" ? openIds : ids}
        onEndReached={filter === "all" ? rows.onEndReached : undefined}
        selectedKey={selected}
        onSelect={(id) => setSelected(id === selected ? null : id)}
        onRowKey={handleRowKey}
        rowAttributes={(order) => ({ "data-side": order.side, "data-status": order.status })}
        empty={<NoOrders filter={filter} hasOrders={ids.length > 0} />}
      />
      {selected !== null && (
        <OrderDetail
          orderId={selected}
          onCancel={cancel}
          onChange={setChanging}
          onClose={() => setSelected(null)}
        />
      )}
      {changing !== null && <ReplaceDialog order={changing} onClose={() => setChanging(null)} />}
    </div>
  );
}

function columnsOf(
  formats: ReturnType<typeof useTerminal>["formats"],
  cancel: (order: Order) => void,
  change: (order: Order) => void,
): Column<Order>[] {
  return [
    {
      id: "order",
      header: "Order",
      isRowHeader: true,
      minWidth: 150,
      grow: 4,
      cell: (order) => (
        <span className="order-cell">
          <span className="side" data-side={order.side}>
            {sideWord(order.side)}
          </span>{" "}
          {formats.quantity(order.qty)} <b>{order.symbol}</b>{" "}
          <span className="terms">{describeTerms(order, formats)}</span>
        </span>
      ),
      sortValue: (order) => order.symbol,
    },
    {
      id: "status",
      header: "Status",
      minWidth: 116,
      grow: 2,
      cell: (order) => {
        const reason = explainOrder(order);
        return (
          <span className="status-cell" title={reason || undefined}>
            <span className="chip" data-tone={toneOf(order)}>
              {statusWord(order.status)}
            </span>
            {reason !== "" && <span className="reason">{reason}</span>}
          </span>
        );
      },
      sortValue: (order) => statusWord(order.status),
    },
    {
      id: "filled",
      header: "Filled",
      align: "end",
      minWidth: 110,
      priority: 1,
      cell: (order) => (
        <span className="num">
          {formats.quantity(order.filledQty)} / {formats.quantity(order.qty)}
        </span>
      ),
      sortValue: (order) => order.qty,
      firstDirection: "descending",
    },
    {
      id: "average",
      header: "Avg price",
      align: "end",
      minWidth: 84,
      priority: 3,
      cell: (order) => <span className="num">{formats.averagePrice(order.filledAvgPrice)}</span>,
      sortValue: (order) => order.filledAvgPrice,
    },
    {
      id: "by",
      header: "By",
      minWidth: 70,
      priority: 5,
      cell: (order) => <PlacedBy order={order} />,
      sortValue: (order) => order.strategyId,
    },
    timeColumn({ align: "end", minWidth: 112, priority: 2 }),
    {
      id: "actions",
      header: "",
      label: "Actions",
      align: "end",
      minWidth: 148,
      grow: 0,
      cell: (order) =>
        isOpen(order) && (
          <span className="row-actions">
            {isWorking(order) && (
              <RowButton
                onClick={() => change(order)}
                aria-label={`Change: ${describeOrder(order, formats)}`}
              >
                Change
              </RowButton>
            )}
            <RowButton
              onClick={() => cancel(order)}
              disabled={order.status === "pending_cancel"}
              aria-label={`Cancel: ${describeOrder(order, formats)}`}
            >
              Cancel
            </RowButton>
          </span>
        ),
    },
  ];
}

/** The strategy that placed the order, by name; a person otherwise. */
function PlacedBy({ order }: { readonly order: Order }) {
  const strategy = useKeyed(useTapewire().strategies, order.strategyId ?? "");
  if (order.strategyId === null) return <span>You</span>;
  return <span title={`Strategy ${order.strategyId}`}>{strategy?.name ?? "A strategy"}</span>;
}

function CancelAll({ ids }: { readonly ids: readonly string[] }) {
  const client = useTapewire();
  const { showToast, formats } = useTerminal();
  const [isBusy, setBusy] = useState(false);

  async function cancelAll() {
    setBusy(true);
    const results = await Promise.allSettled(
      ids.map((id) => client.call("DELETE", `/api/orders/${encodeURIComponent(id)}`)),
    );
    setBusy(false);
    const failed = results.filter((result) => result.status === "rejected");
    if (failed.length > 0) {
      showToast({
        kind: "bad",
        title: `${formats.count(failed.length)} of ${formats.count(ids.length)} orders were not canceled`,
        text: errorMessage(failed[0]?.reason),
      });
    }
  }

  return (
    <button
      type="button"
      className="button small"
      aria-disabled={isBusy}
      onClick={() => void (isBusy || cancelAll())}
    >
      {isBusy ? "Canceling…" : `Cancel all ${formats.count(ids.length)}`}
    </button>
  );
}

function NoOrders({ filter, hasOrders }: { readonly filter: Filter; readonly hasOrders: boolean }) {
  const client = useTapewire();
  const terminal = useTerminal();
  if (filter === "open" && hasOrders) return <EmptyState title="No open orders" />;
  return (
    <ListState store={client.orders} name="your orders">
      <EmptyState
        title="No orders yet"
        text="An order that you place appears here, with every fill."
        action={{ label: "Place an order", onPress: () => terminal.openTicket({}) }}
      />
    </ListState>
  );
}
