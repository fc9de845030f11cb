import { Fragment } from "react";

import { Dialog } from "../components/dialog.js";
import { KEY_TABLE, TABLE_KEYS } from "./key-table.js";

export interface HelpDialogProps {
  readonly areLettersOn: boolean;
  readonly onLettersChange: (areOn: boolean) => void;
  readonly onShowFirstSteps: () => void;
  readonly onClose: () => void;
}

/** All keys, from the table that the handler uses. */
export function HelpDialog({
  areLettersOn,
  onLettersChange,
  onShowFirstSteps,
  onClose,
}: HelpDialogProps) {
  return (
    <Dialog title="Keys" onClose={onClose} className="help-dialog">
      <p className="soft">
        No letter is a command while you type or while a dialog is open; Esc leaves the field.
      </p>
      <dl className="key-list">
        {[...KEY_TABLE, ...TABLE_KEYS].map(({ keys, text }) => (
          <div key={keys.join()}>
            <dt>
              {keys.map((name, index) => (
                <Fragment key={name}>
                  {index > 0 && " "}
                  {name.split(/(?<=^g) /).map((part) => (
                    <kbd key={part}>{part}</kbd>
                  ))}
                </Fragment>
              ))}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <label className="check">
        <input
          type="checkbox"
          checked={areLettersOn}
          onChange={(event) => onLettersChange(event.target.checked)}
        />
        Single letters are commands (Ctrl+K and Esc always are)
      </label>
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onShowFirstSteps}>
          Show “First five minutes”
        </button>
        <button type="button" className="button primary" onClick={onClose} data-autofocus>
          Close
        </button>
      </div>
    </Dialog>
  );
}
