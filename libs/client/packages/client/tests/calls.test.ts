/** The types of calls: bodies and answers by method and path. They are checked by `npm run types`. */

import { expectTypeOf, test } from "vitest";
import type {
  AlertRule,
  NotificationList,
  Order,
  OrderList,
  PlaceOrderBody,
  ReadResult,
  Strategy,
  StrategyStop,
} from "../src/generated/types.js";
import type { TapewireClient } from "../src/interfaces.js";

declare const client: TapewireClient;

test("answers have the type of their path", () => {
  // Never called: the types are what is tested.
  const calls = (id: string, path: string) => {
    expectTypeOf(client.call("GET", "/api/orders")).resolves.toEqualTypeOf<OrderList>();
    expectTypeOf(client.call("GET", "/api/orders?limit=5")).resolves.toEqualTypeOf<OrderList>();
    expectTypeOf(client.call("GET", `/api/orders/${id}`)).resolves.toEqualTypeOf<Order>();
    expectTypeOf(client.call("DELETE", `/api/orders/${id}`)).resolves.toEqualTypeOf<Order>();
    expectTypeOf(
      client.call("POST", `/api/strategies/${id}/start`),
    ).resolves.toEqualTypeOf<Strategy>();
    expectTypeOf(
      client.call("POST", `/api/alerts/rules/${id}/arm`),
    ).resolves.toEqualTypeOf<AlertRule>();
    expectTypeOf(
      client.call("GET", "/api/notifications"),
    ).resolves.toEqualTypeOf<NotificationList>();
    expectTypeOf(
      client.call("POST", "/api/notifications/read-all"),
    ).resolves.toEqualTypeOf<ReadResult>();
    expectTypeOf(client.call("DELETE", "/api/session")).resolves.toEqualTypeOf<undefined>();
    expectTypeOf(client.call("GET", path)).resolves.toBeUnknown();
    expectTypeOf(client.call("GET", "/api/nothing")).resolves.toBeUnknown();
    expectTypeOf(client.call<Order>("GET", path)).resolves.toEqualTypeOf<Order>();
  };
  expectTypeOf(calls).toBeFunction();
});

test("bodies have the type of their path", () => {
  const calls = (id: string, body: PlaceOrderBody) => {
    const order = client.call("POST", "/api/orders", body, { idempotencyKey: id });
    expectTypeOf(order).resolves.toEqualTypeOf<Order>();
    expectTypeOf(client.call<"POST", "/api/orders">)
      .parameter(2)
      .toEqualTypeOf<PlaceOrderBody>();
    type Stop = `/api/strategies/${string}/stop`;
    expectTypeOf(client.call<"POST", Stop>)
      .parameter(2)
      .toEqualTypeOf<StrategyStop | undefined>();
    // @ts-expect-error: the side is missing
    void client.call<"POST", "/api/orders">("POST", "/api/orders", { symbol: "SPY", qty: 1 });
    // @ts-expect-error: a list takes no body
    void client.call<"GET", "/api/orders">("GET", "/api/orders", {});
  };
  expectTypeOf(calls).toBeFunction();
});
