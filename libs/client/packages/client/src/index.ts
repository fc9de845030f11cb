/** The public names of the client. */

export { createTapewire } from "./client.js";
export {
  type Following,
  type FollowOptions,
  follow,
  type PollResult,
  type State as FollowState,
} from "./fallback.js";
export type * from "./generated/types.js";
export type * from "./interfaces.js";
export type { StreamReset } from "./interfaces.js"; // the event of this name has more fields
export type { CallSettings, ErrorBody, Method } from "./rest.js";
export {
  ApiError,
  type Connection,
  type ConnectOptions,
  call,
  connect,
  type FinalState as FinalStreamState,
  type State as StreamState,
  type StreamContent,
  type StreamEvent,
  Unreachable,
} from "./tapewire.js";
export { type Token, TokenUnavailable } from "./token.js";
