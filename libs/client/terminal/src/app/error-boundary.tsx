import { Component, type ReactNode } from "react";

import { errorMessage } from "../components/error-text.js";

export interface ErrorBoundaryProps {
  /** What is lost: "Watchlist". */
  readonly name: string;
  readonly children: ReactNode;
}

/** Shows an error in the place of one part of the page, and tries again on a press; the rest goes on. */
export class ErrorBoundary extends Component<ErrorBoundaryProps, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div className="empty-state" role="alert">
        <p className="empty-title">{this.props.name} has stopped.</p>
        <p className="empty-text">{errorMessage(error)} The rest of the page goes on.</p>
        <button type="button" className="button" onClick={() => this.setState({ error: null })}>
          Try again
        </button>
      </div>
    );
  }
}
