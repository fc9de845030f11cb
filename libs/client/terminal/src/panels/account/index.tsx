import { useAccount, useConnection } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { EmptyState, Money } from "../../components/index.js";
import type { PanelProps } from "../registry.js";
import { EquityCurve } from "./equity-curve.js";
import "./account.css";

/** Cash, equity, exposure and profit of the account, and its equity over time. */
export default function AccountPanel(_props: PanelProps) {
  const terminal = useTerminal();
  const account = useAccount();
  const connection = useConnection();
  if (account === null) return <EmptyState title="Loading your account…" />;
  const { formats } = terminal;
  const isLive = connection.name === "live" && !account.stale;
  return (
    <div className="account">
      {!isLive && (
        <p className="not-live" role="status">
          Not live: as of {formats.time(account.timestamp)}
          {account.unpriced > 0 &&
            `, ${formats.count(account.unpriced)} positions without a price are valued at their cost`}
        </p>
      )}
      <dl className="figures" data-live={isLive}>
        <Figure name="Equity">
          <Money value={account.equity} />
        </Figure>
        <Figure name="Profit or loss">
          <Money value={account.equity - account.startingBalance} isSigned />
        </Figure>
        <Figure name="Cash">
          <Money value={account.cash} />
        </Figure>
        <Figure name="Buying power">
          {account.buyingPower === null ? "not limited" : <Money value={account.buyingPower} />}
        </Figure>
        <Figure name="Unrealized">
          <Money value={account.unrealizedPnL} isSigned />
        </Figure>
        <Figure name="Realized">
          <Money value={account.realizedPnL} isSigned />
        </Figure>
        <Figure name="Gross exposure">
          <Money value={account.grossExposure} />
        </Figure>
        <Figure name="Net exposure">
          <Money value={account.netExposure} />
        </Figure>
        <Figure name="Fees">
          {account.fees === null ? "not known" : <Money value={account.fees} />}
        </Figure>
      </dl>
      <EquityCurve />
    </div>
  );
}

function Figure({ name, children }: { readonly name: string; readonly children: React.ReactNode }) {
  return (
    <div className="figure">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
