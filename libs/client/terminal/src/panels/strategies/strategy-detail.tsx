import { useKeyed, useTapewire } from "@tapewire/react";
import type { ButtonHTMLAttributes } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { Price } from "../../components/index.js";
import { chooseStrategy } from "../decisions/chosen-strategy.js";
import { StrategyActions, type StrategyCommands } from "./strategy-actions.js";
import { describeProtection, describeRule, RULE_NAMES, statusWord } from "./strategy-words.js";

function SmallButton(props: ButtonHTMLAttributes<HTMLButtonElement>) {
  return <button type="button" {...props} className="button small" />;
}

/** Everything about one strategy, and what can be done with it: a narrow table has no buttons. */
export function StrategyDetail({
  strategyId,
  commands,
  onClose,
}: {
  readonly strategyId: string;
  readonly commands: StrategyCommands;
  readonly onClose: () => void;
}) {
  const strategy = useKeyed(useTapewire().strategies, strategyId);
  const { formats, openPanel, selectSymbol } = useTerminal();
  if (strategy === undefined) return null;
  const protection = describeProtection(strategy, formats);
  return (
    <section className="strategy-detail" aria-label={strategy.name}>
      <header>
        <h3>{strategy.name}</h3>
        <div className="strategy-buttons">
          <StrategyActions strategy={strategy} {...commands} Button={SmallButton} />
          <button type="button" className="button small" onClick={onClose}>
            Close
          </button>
        </div>
      </header>
      <p>
        {RULE_NAMES[strategy.rule.kind]}: {describeRule(strategy.rule, formats)}
      </p>
      <dl className="facts">
        <dt>Status</dt>
        <dd>
          {statusWord(strategy.status)}
          {strategy.message != null && `: ${strategy.message}`}
        </dd>
        <dt>Trades</dt>
        <dd>
          {formats.count(strategy.trades)}
          {strategy.maxTrades !== null && ` of ${formats.count(strategy.maxTrades)}`},{" "}
          {formats.quantity(strategy.quantity)} shares an order
        </dd>
        <dt>Holds</dt>
        <dd>
          {formats.quantity(strategy.position)} {strategy.symbol}
          {strategy.entryPrice !== null && (
            <>
              {" "}
              from <Price value={strategy.entryPrice} />
            </>
          )}
        </dd>
        <dt>Protection</dt>
        <dd>{protection === "" ? "none" : protection}</dd>
      </dl>
      <div className="strategy-buttons">
        <button
          type="button"
          className="button small"
          onClick={() => {
            chooseStrategy(strategyId);
            openPanel("decisions");
          }}
        >
          Show its decisions
        </button>
        <button
          type="button"
          className="button small"
          onClick={() => {
            selectSymbol(strategy.symbol);
            openPanel("chart");
          }}
        >
          Show {strategy.symbol} in the chart
        </button>
      </div>
    </section>
  );
}
