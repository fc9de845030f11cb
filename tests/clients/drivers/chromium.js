// Passes every event to the test, which calls `start`.
import { follow } from './snippet.js';

export function start(streams, types, pause) {
  for (const { path, url, id } of streams) {
    const seen = (event) =>
      window.say({ path, event: event.type, data: event.data, id: event.lastEventId });
    const over = (why) => window.say({ over: why === 'signed out' ? '401' : 'limit' });
    const user = new URL(url, location.href).searchParams.get('userId');
    follow(url, types, seen, over, { id, pause, user });
  }
}
