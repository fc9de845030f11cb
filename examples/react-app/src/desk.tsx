/** The page of a user: who it is, whether what it shows is current, and the three parts. */

import { useAccount, useSession } from "@tapewire/react";

import { Connection } from "./connection";
import { OrderForm } from "./order-form";
import { Orders } from "./orders";
import { Toasts } from "./toasts";
import { Watchlist } from "./watchlist";

interface DeskProps {
  readonly onSignOut: () => void;
}

export function Desk({ onSignOut }: DeskProps) {
  const session = useSession();
  const account = useAccount();
  return (
    <>
      <header>
        <h1>Small trading page</h1>
        <Connection />
        <p>
          {session.name === "signed-in" && `Signed in as ${session.userId}`}
          {session.name === "loading" && "Signing in"}
          {session.name === "signed-out" && `The token was not accepted (${session.reason})`}
          {session.name === "unreachable" && `Cannot sign in: ${session.reason}`}
        </p>
        {account && <p>Cash {account.cash.toLocaleString()}</p>}
        <button onClick={onSignOut} type="button">
          Sign out
        </button>
      </header>
      <main>
        <Watchlist />
        <OrderForm />
        <Orders />
      </main>
      <Toasts />
    </>
  );
}
