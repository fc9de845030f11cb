import { type ComponentType, useEffect, useEffectEvent, useState } from "react";

import { useTerminal } from "../app/terminal-context.js";
import { errorMessage } from "./error-text.js";

/** When the page has shown itself, and dialogs may be loaded. */
const AFTER_FIRST_VIEW_MS = 1_500;
const firstView = new Promise((resolve) => setTimeout(resolve, AFTER_FIRST_VIEW_MS));

interface DialogProps {
  readonly onClose: () => void;
}

class DialogFile<P> {
  component: ComponentType<P> | null = null;
  readonly #import: () => Promise<ComponentType<P>>;

  constructor(importFile: () => Promise<ComponentType<P>>) {
    this.#import = importFile;
    firstView.then(this.load).catch(() => undefined); // it is loaded again when it is needed
  }

  load = async (): Promise<ComponentType<P>> => {
    this.component ??= await this.#import();
    return this.component;
  };
}

/**
 * A dialog in a file of its own. It is loaded soon after the first view, so that it opens at once; a
 * dialog that is wanted earlier opens when it is there, and the focus stays where it is until then.
 * If it cannot be loaded, that is said, and the next press tries again.
 */
export function lazyDialog<P extends DialogProps>(
  importFile: () => Promise<ComponentType<P>>,
): ComponentType<P> {
  const file = new DialogFile(importFile);
  return (props) => <LazyDialog file={file} props={props} />;
}

function LazyDialog<P extends DialogProps>({
  file,
  props,
}: {
  readonly file: DialogFile<P>;
  readonly props: P;
}) {
  const { showToast } = useTerminal();
  const [Content, setContent] = useState(() => file.component);
  const giveUp = useEffectEvent((error: unknown) => {
    showToast({
      kind: "bad",
      title: "This could not be opened. Try again.",
      text: errorMessage(error),
    });
    props.onClose();
  });
  useEffect(() => {
    let isWanted = true;
    file.load().then(
      (component) => isWanted && setContent(() => component),
      (error: unknown) => isWanted && giveUp(error),
    );
    return () => {
      isWanted = false;
    };
  }, [file]);
  return Content === null ? null : <Content {...props} />;
}
