/** The public names of the client. */

export { type FollowOptions, type Following, follow, type PollResult, type State as FollowState } from "./fallback.js";
export type * from "./interfaces.js";
export { type CallSettings, type ErrorBody, type Method } from "./rest.js";
export { type Token, TokenUnavailable } from "./token.js";
export {
  ApiError,
  type ConnectOptions,
  type Connection,
  call,
  connect,
  type FinalState as FinalStreamState,
  type State as StreamState,
  type StreamContent,
  type StreamEvent,
  Unreachable,
} from "./tapewire.js";
