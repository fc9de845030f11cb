/** Types of calls by method and path. This module has no code. */

import type { Calls } from "./generated/types.js";
import type { CallOptions } from "./interfaces.js";

type CallName = keyof Calls & string;

/** The paths of a template such as "/api/orders/{order_id}". */
type PathsOf<Template extends string> = Template extends `${infer Before}{${string}}${infer After}`
  ? `${Before}${string}${PathsOf<After>}`
  : Template;

/** The call with this method and path; never if there is none, or if the path is any string. */
type NameOf<Method extends string, Path extends string> = {
  [Name in CallName]: Name extends `${Method} ${infer Template}`
    ? Path extends PathsOf<Template> | `${PathsOf<Template>}?${string}`
      ? Name
      : never
    : never;
}[CallName];

/** What a call is answered with; unknown for paths that are not in the OpenAPI document. */
export type AnswerOf<Method extends string, Path extends string> = [NameOf<Method, Path>] extends [
  never,
]
  ? unknown
  : Calls[NameOf<Method, Path>]["answer"];

/** The body of a call. */
export type BodyOf<Method extends string, Path extends string> = [NameOf<Method, Path>] extends [
  never,
]
  ? unknown
  : Calls[NameOf<Method, Path>]["body"];

/** The body of a call, where it has one, and its options. */
export type CallArguments<Body> = undefined extends Body
  ? [body?: Body, options?: CallOptions]
  : [body: Body, options?: CallOptions];
