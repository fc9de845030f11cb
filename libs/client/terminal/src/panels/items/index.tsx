import type { Configuration, Item } from "@tapewire/client";
import { useConfiguration, useSession, useTapewire } from "@tapewire/react";
import { useMemo, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { useTerminal } from "../../app/terminal-context.js";
import {
  type Column,
  DataTable,
  EmptyState,
  ErrorText,
  ListState,
  LoadState,
  PanelToolbar,
  timeColumn,
  useStoreRows,
} from "../../components/index.js";
import { lazyDialog } from "../../components/lazy-dialog.js";
import type { PanelProps } from "../registry.js";
import { useViewItems } from "./use-view-items.js";
import { useViews } from "./use-views.js";
import { safeUrl } from "./view-rule.js";
import "./items.css";

const ViewDialog = lazyDialog(() => import("./view-dialog.js").then((module) => module.ViewDialog));

/** News items with tickers, tags and sentiment: all of them, or those of one of the user's views. */
export default function ItemsPanel({ headingId }: PanelProps) {
  const isSignedIn = useSession().name === "signed-in";
  const views = useViews();
  const [viewId, setViewId] = useStoredState("items.view", "");
  const [edited, setEdited] = useState<Configuration | "new" | null>(null);
  const view = useConfiguration(isSignedIn ? viewId : null);
  return (
    <div className="items">
      {isSignedIn && (
        <PanelToolbar label="Which items">
          <select
            className="input"
            aria-label="View"
            value={view?.id ?? ""}
            onChange={(event) => setViewId(event.target.value)}
          >
            <option value="">All items</option>
            {views.ids.map((id) => (
              <ViewOption key={id} id={id} />
            ))}
          </select>
          {view && (
            <button type="button" className="button small" onClick={() => setEdited(view)}>
              Change
            </button>
          )}
          <button type="button" className="button small" onClick={() => setEdited("new")}>
            New view
          </button>
          <ErrorText>
            {views.error !== "" && `Your views could not be loaded. ${views.error}`}
          </ErrorText>
        </PanelToolbar>
      )}
      {view ? (
        <ViewItemsTable key={JSON.stringify(view)} view={view} headingId={headingId} />
      ) : (
        <AllItemsTable headingId={headingId} />
      )}
      {edited !== null && (
        <ViewDialog
          view={edited === "new" ? null : edited}
          views={views}
          onSaved={setViewId}
          onClose={() => setEdited(null)}
        />
      )}
    </div>
  );
}

function ViewOption({ id }: { readonly id: string }) {
  return <option value={id}>{useConfiguration(id)?.name ?? id}</option>;
}

function AllItemsTable({ headingId }: { readonly headingId: string }) {
  const client = useTapewire();
  return (
    <DataTable<Item>
      id="items"
      labelledBy={headingId}
      columns={COLUMNS}
      {...useStoreRows(client.items)}
      hasTallRows
      rowAttributes={sentimentOf}
      empty={
        <ListState store={client.items} name="the items">
          <EmptyState
            title="No news items yet"
            text={
              <>
                They arrive from feeds and programs.{" "}
                <code>tapewire items add --title … --source …</code> adds one.
              </>
            }
          />
        </ListState>
      }
    />
  );
}

function ViewItemsTable({
  view,
  headingId,
}: {
  readonly view: Configuration;
  readonly headingId: string;
}) {
  const { items, status, loadFirst, loadMore } = useViewItems(view);
  const ids = useMemo(() => items.map(({ id }) => id), [items]);
  const rows = useMemo(() => {
    const byId = new Map(items.map((item) => [item.id, item]));
    return { get: (id: string) => byId.get(id), subscribe: () => () => undefined };
  }, [items]);
  return (
    <DataTable<Item>
      id="items"
      labelledBy={headingId}
      columns={COLUMNS}
      rowKeys={ids}
      rows={rows}
      hasTallRows
      rowAttributes={sentimentOf}
      onEndReached={loadMore !== null && status.name !== "loading" ? loadMore : undefined}
      empty={
        <LoadState name="the items of this view" status={status} onRetry={loadFirst}>
          <EmptyState
            title="No item matches this view yet"
            text={`It shows items about ${view.tickers.join(", ")}${view.tags.length > 0 ? ` with ${view.tags.map((tag) => `#${tag}`).join(" or ")}` : ""}.`}
          />
        </LoadState>
      }
    />
  );
}

const sentimentOf = ({ sentiment }: Item) => ({ "data-sentiment": sentiment });

const SENTIMENT_WORDS: Readonly<Record<string, string>> = {
  positive: "Positive",
  negative: "Negative",
  neutral: "Neutral",
};
const SENTIMENT_TONES: Readonly<Record<string, string>> = { positive: "good", negative: "bad" };

const COLUMNS: readonly Column<Item>[] = [
  {
    id: "title",
    header: "Item",
    isRowHeader: true,
    minWidth: 200,
    grow: 5,
    cell: (item) => <ItemCell item={item} />,
    sortValue: ({ title }) => title,
  },
  {
    id: "sentiment",
    header: "Sentiment",
    minWidth: 132,
    grow: 0,
    cell: (item) => <SentimentCell item={item} />,
    sortValue: ({ score }) => score,
    firstDirection: "descending",
  },
  timeColumn({ align: "end", minWidth: 106, grow: 0, priority: 1 }),
];

function ItemCell({ item }: { readonly item: Item }) {
  const { selectSymbol, openPanel } = useTerminal();
  const url = safeUrl(item.url);
  return (
    <span className="item-cell">
      {url === null ? (
        <span className="item-title">{item.title}</span>
      ) : (
        <a className="item-title" href={url} target="_blank" rel="noopener noreferrer nofollow">
          {item.title}
        </a>
      )}
      <span className="soft">
        {item.source}
        {item.tickers.map((ticker) => (
          <button
            key={ticker}
            type="button"
            className="link-button ticker"
            tabIndex={-1}
            onClick={() => {
              selectSymbol(ticker);
              openPanel("chart");
            }}
          >
            {ticker}
          </button>
        ))}
        {item.tags.map((tag) => (
          <span key={tag} className="tag">
            #{tag}
          </span>
        ))}
      </span>
    </span>
  );
}

function SentimentCell({ item }: { readonly item: Item }) {
  const { formats } = useTerminal();
  return (
    <span className="chip" data-tone={SENTIMENT_TONES[item.sentiment]}>
      {SENTIMENT_WORDS[item.sentiment] ?? item.sentiment} {formats.score(item.score)}
    </span>
  );
}
