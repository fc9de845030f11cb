interface ImportMetaEnv {
  readonly VITE_TAPEWIRE_URL?: string;
}
