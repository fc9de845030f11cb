/** React hooks for Tapewire. Start with `TapewireProvider`. */

export * from "./hooks/account.js";
export * from "./hooks/command.js";
export * from "./hooks/inbox.js";
export * from "./hooks/items.js";
export * from "./hooks/market.js";
export * from "./hooks/replay.js";
export * from "./hooks/stores.js";
export { TapewireProvider, type TapewireProviderProps, useTapewire } from "./provider.js";
