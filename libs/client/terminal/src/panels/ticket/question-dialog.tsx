import { useTerminal } from "../../app/terminal-context.js";
import { ConfirmDialog } from "../../components/confirm-dialog.js";
import { describeOrder, sideWord } from "../blotter/order-words.js";
import type { OrderQuestion } from "./order-question.js";
import type { OrderRequest } from "./order-submission.js";

export interface QuestionDialogProps {
  readonly request: OrderRequest;
  readonly questions: readonly OrderQuestion[];
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

/** Asks before an order that is large for the account, or whose limit is far beyond the market. */
export function QuestionDialog({ request, questions, onConfirm, onClose }: QuestionDialogProps) {
  const { formats } = useTerminal();
  return (
    <ConfirmDialog
      title={`${sideWord(request.side)} ${formats.quantity(request.qty)} ${request.symbol}?`}
      confirmLabel={`${sideWord(request.side)} ${formats.quantity(request.qty)} ${request.symbol}`}
      cancelLabel="Do not place it"
      isDangerous
      onConfirm={onConfirm}
      onClose={onClose}
    >
      <p>{describeOrder(request, formats)}.</p>
      <ul>
        {questions.map((question) => (
          <li key={question.name}>{words(question)}</li>
        ))}
      </ul>
    </ConfirmDialog>
  );

  function words(question: OrderQuestion): string {
    if (question.name === "large") {
      const part = Number.isFinite(question.partOfEquity)
        ? `, ${formats.share(question.partOfEquity)} of your equity`
        : ", and your account has no equity";
      return `It adds ${formats.money(question.added)} dollars of exposure${part}.`;
    }
    if (question.name === "far-limit") {
      const { limitPrice, marketPrice, part } = question;
      return `Its limit of ${formats.price(limitPrice)} is ${formats.share(part)} worse than the market at ${formats.price(marketPrice)}.`;
    }
    return question.missing === "price"
      ? "Its value is not known: there is no price for it yet."
      : "Your account has not been loaded yet, so it is not known whether this is a large order.";
  }
}
