// Prints every event as a line of JSON. The argument names the streams and the credentials.
import { follow } from './snippet.mjs';

function say(said) {
  console.log(JSON.stringify(said));
}

for (const { path, url, headers, id } of JSON.parse(process.argv[2])) {
  const seen = (message) => say({ path, event: message.event, data: message.data, id: message.id });
  follow(url, seen, { headers, id }).catch((error) => {
    const why = error.message.split(' ').at(-1);
    say({ over: why === 'many' ? 'limit' : why });
    process.exit(1);
  });
}
