"""Several edge processes behind a real nginx, with the configuration that docs/ recommends."""
