// Prints every event as a line of JSON. The argument names the streams and the credentials.
import { follow } from './snippet.mjs';

function say(said) {
  console.log(JSON.stringify(said));
}

for (const { path, url, headers, id, types } of JSON.parse(process.argv[2])) {
  const seen = (event) => say({ path, event: event.type, data: event.data, id: event.lastEventId });
  follow(url, types, seen, { headers, id }).catch((error) => {
    const why = error.message.split(' ').at(-1);
    say({ over: why === 'many' ? 'limit' : why });
    process.exit(1);
  });
}
