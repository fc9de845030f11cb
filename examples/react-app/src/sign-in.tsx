import { type FormEvent, useState } from "react";

interface SignInProps {
  readonly onToken: (token: string) => void;
}

export function SignIn({ onToken }: SignInProps) {
  const [token, setToken] = useState("");

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (token.trim()) onToken(token.trim());
  }

  return (
    <main>
      <h1>Small trading page</h1>
      <form onSubmit={submit}>
        <label>
          Token
          <input
            autoComplete="off"
            onChange={(event) => setToken(event.target.value)}
            required
            type="password"
            value={token}
          />
        </label>
        <button type="submit">Sign in</button>
      </form>
    </main>
  );
}
